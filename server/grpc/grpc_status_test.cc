#include "server/grpc/grpc_status.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "tests/testing/server/status_details.h"

namespace seer {
namespace {

TEST(GrpcStatusTest, OkHasNoDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus(), "r-1");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.error_details(), "");
}

TEST(GrpcStatusTest, AFieldIsABadRequest) {
  const grpc::Status status =
      ToGrpcStatus(InvalidField("sampling.top_p", "must be in (0, 1]"), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "sampling.top_p must be in (0, 1]");
  const auto detail = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(detail);
  ASSERT_EQ(detail->field_violations_size(), 1);
  EXPECT_EQ(detail->field_violations(0).field(), "sampling.top_p");
  EXPECT_EQ(detail->field_violations(0).description(), "must be in (0, 1]");
  EXPECT_FALSE(DetailOf<google::rpc::RequestInfo>(status));
}

TEST(GrpcStatusTest, AReasonIsAnErrorInfo) {
  const grpc::Status status =
      ToGrpcStatus(WithReason(absl::InvalidArgumentError("too long"),
                              {"CONTEXT_TOO_LONG", 8192, 9000}),
                   "r-1");
  const auto detail = DetailOf<google::rpc::ErrorInfo>(status);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->domain(), "seer");
  EXPECT_EQ(detail->reason(), "CONTEXT_TOO_LONG");
  EXPECT_EQ(detail->metadata().at("limit"), "8192");
  EXPECT_EQ(detail->metadata().at("got"), "9000");
  EXPECT_EQ(DetailOf<google::rpc::RequestInfo>(status).value().request_id(),
            "r-1");
}

TEST(GrpcStatusTest, ARetryDelayIsARetryInfo) {
  const grpc::Status status =
      ToGrpcStatus(WithRetryDelay(absl::ResourceExhaustedError("full"),
                                  absl::Milliseconds(2250)),
                   "");
  const auto detail = DetailOf<google::rpc::RetryInfo>(status);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->retry_delay().seconds(), 2);
  EXPECT_EQ(detail->retry_delay().nanos(), 250000000);
}

TEST(GrpcStatusTest, AResourceIsAResourceInfo) {
  const grpc::Status status =
      ToGrpcStatus(WithResource(absl::NotFoundError("no such gate set"),
                                "seer.v1/GateSet", "models/m/gateSets/x"),
                   "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  const auto detail = DetailOf<google::rpc::ResourceInfo>(status);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->resource_type(), "seer.v1/GateSet");
  EXPECT_EQ(detail->resource_name(), "models/m/gateSets/x");
}

TEST(GrpcStatusTest, InternalMessagesStayInTheLog) {
  std::vector<std::string> lines;
  SetLogSink([&](absl::string_view line) { lines.emplace_back(line); });
  const grpc::Status status =
      ToGrpcStatus(absl::InternalError("cannot read /secret/weights"), "r-9");
  SetLogSink(nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "internal error");
  EXPECT_EQ(status.error_details().find("secret"), std::string::npos);
  EXPECT_EQ(DetailOf<google::rpc::RequestInfo>(status).value().request_id(),
            "r-9");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("/secret/weights"), std::string::npos);
  EXPECT_NE(lines[0].find("r-9"), std::string::npos);
}

TEST(GrpcStatusTest, LongMessagesAreCutBetweenCharacters) {
  std::string message;
  while (message.size() < 2000) message += "\xe2\x82\xac";  // U+20AC
  const grpc::Status status =
      ToGrpcStatus(absl::InvalidArgumentError(message), "");
  EXPECT_LE(status.error_message().size(), 512u);
  EXPECT_EQ((status.error_message().size() - 3) % 3, 0u);
}

TEST(GrpcStatusTest, OnlyWhatMayPassGetsADefaultDelay) {
  EXPECT_EQ(RetryDelayOf(WithDefaultRetryDelay(absl::UnavailableError("x"))),
            absl::Seconds(1));
  EXPECT_EQ(RetryDelayOf(WithDefaultRetryDelay(WithRetryDelay(
                absl::ResourceExhaustedError("x"), absl::Seconds(9)))),
            absl::Seconds(9));
  EXPECT_FALSE(RetryDelayOf(WithDefaultRetryDelay(
      WithReason(absl::ResourceExhaustedError("x"),
                 {"RESPONSE_TOO_LARGE", std::nullopt, std::nullopt}))));
  EXPECT_FALSE(RetryDelayOf(WithDefaultRetryDelay(absl::NotFoundError("x"))));
}

}  // namespace
}  // namespace seer
