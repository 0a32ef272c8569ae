// The words that stand for the admin service's enumerations and times, in JSON
// and in text.
#ifndef SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_WORDS_H_
#define SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_WORDS_H_

#include <string>

#include "google/protobuf/timestamp.pb.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// As Word in client/output/words.h.
std::string Word(v1::UploadFormat format);
std::string Word(v1::CalibrationTarget target);
std::string Word(v1::CalibrationLoss loss);
std::string Word(v1::CalibrationJobState state);
std::string Word(v1::CalibrationPhase phase);
std::string Word(v1::GateRolloutCause cause);

// RFC 3339 in UTC, whole seconds: "2026-11-22T22:41:27Z".
std::string TimeText(const google::protobuf::Timestamp& time);

// "512 B", "1.5 MiB"
std::string SizeText(int64_t bytes);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_RESOURCE_WORDS_H_
