#ifndef SEER_SERVER_COMPLETION_REQUEST_RECORD_H_
#define SEER_SERVER_COMPLETION_REQUEST_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/request.h"
#include "server/metrics/metrics.h"

namespace seer {

// What is counted and logged of one completion, from its arrival to its end:
// metrics as things happen, and one log line when it is over. Never of what was
// said: no prompt and no output. Not thread-safe.
class RequestRecord {
 public:
  // `metrics` is borrowed.
  RequestRecord(Metrics* metrics, Method method, std::string request_id,
                absl::Time arrival);

  // The kind of budget asked for, before it is known to be valid.
  void OnAsked(BudgetKind policy);
  // The request as far as it is decoded; again when its prompt is.
  void OnDecoded(const GenerationRequest& request);
  // The engine took it.
  void OnAdmitted();
  // An event of its stream, when the server read it.
  void OnEvent(const Event& event, absl::Time now);
  // Its end, as told to the client; once.
  void OnEnd(const absl::Status& status, absl::Time now);

 private:
  void OnDelta(const DeltaEvent& delta, absl::Time now);
  void CountFailure(const absl::Status& status);
  void LogEnd(const absl::Status& status, absl::Duration duration) const;

  Metrics* const metrics_;
  const Method method_;
  const std::string request_id_;
  const absl::Time arrival_;

  std::string client_request_id_;
  BudgetKind policy_ = BudgetKind::kDense;
  std::string gate_;          // of AcceptedEvent
  std::string gate_version_;  // likewise
  int64_t prompt_tokens_ = 0;
  int64_t output_tokens_ = 0;
  bool admitted_ = false;
  std::optional<absl::Duration> time_to_first_token_;
  std::vector<std::optional<absl::Time>> last_token_;  // by choice
  FinishLabel finish_ = FinishLabel::kNone;
  std::optional<SummaryEvent> summary_;
};

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_REQUEST_RECORD_H_
