#ifndef SEER_SERVER_COMPLETION_RAW_MESSAGE_H_
#define SEER_SERVER_COMPLETION_RAW_MESSAGE_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace seer {

// Requests are parsed here, not by gRPC: it answers bytes that are no message,
// such as text that is not UTF-8, with UNIMPLEMENTED and without a detail.

// INVALID_ARGUMENT: `bytes` are no message of this type.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::Message& message);

// The inverse.
grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

}  // namespace seer

#endif  // SEER_SERVER_COMPLETION_RAW_MESSAGE_H_
