// What an error of gRPC says beside its message.
#ifndef SEER_TESTS_TESTING_SERVER_STATUS_DETAILS_H_
#define SEER_TESTS_TESTING_SERVER_STATUS_DETAILS_H_

#include <optional>

#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"
#include "gtest/gtest.h"

namespace seer {

// The first detail of this type (google/rpc/error_details.proto). That details
// agree with the status itself is expected.
template <typename T>
std::optional<T> DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  if (!status.error_details().empty()) {
    EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
    EXPECT_EQ(details.message(), status.error_message());
  }
  for (const auto& any : details.details()) {
    T detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_STATUS_DETAILS_H_
