#include "client/connection/error_details.h"

#include "absl/strings/cord.h"
#include "client/testing/scripted_server.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ErrorDetailsTest, KeepsCodesAndMessages) {
  EXPECT_TRUE(StatusFromGrpc(grpc::Status::OK).ok());
  const absl::Status status =
      StatusFromGrpc(grpc::Status(grpc::NOT_FOUND, "no such model"));
  EXPECT_EQ(status, absl::NotFoundError("no such model"));
  EXPECT_EQ(DescribeError(status), "NOT_FOUND: no such model");
  EXPECT_EQ(DescribeError(absl::CancelledError("")), "CANCELLED");
}

TEST(ErrorDetailsTest, DecodesEveryDetail) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("sparsity.target_sparsity");
  violation->set_description("must be in [0, 1)");
  google::rpc::ErrorInfo error_info;
  error_info.set_reason("CONTEXT_TOO_LONG");
  error_info.set_domain("seer");
  (*error_info.mutable_metadata())["limit"] = "8192";
  (*error_info.mutable_metadata())["got"] = "9000";
  google::rpc::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_seconds(1);
  retry_info.mutable_retry_delay()->set_nanos(500'000'000);
  google::rpc::ResourceInfo resource_info;
  resource_info.set_resource_type("gateSet");
  resource_info.set_resource_name("models/m/gateSets/g");
  google::rpc::RequestInfo request_info;
  request_info.set_request_id("r-1");

  const absl::Status status = StatusFromGrpc(WithDetails(
      grpc::INVALID_ARGUMENT, "no",
      {&bad_request, &error_info, &retry_info, &resource_info, &request_info}));
  const ErrorDetails details = DetailsOf(status);
  ASSERT_EQ(details.fields.size(), 1);
  EXPECT_EQ(details.fields[0].path, "sparsity.target_sparsity");
  EXPECT_EQ(details.fields[0].description, "must be in [0, 1)");
  EXPECT_EQ(details.reason, "CONTEXT_TOO_LONG");
  EXPECT_THAT(details.metadata,
              ElementsAre(Pair("got", "9000"), Pair("limit", "8192")));
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(1500));
  EXPECT_EQ(details.resource_type, "gateSet");
  EXPECT_EQ(details.resource_name, "models/m/gateSets/g");
  EXPECT_EQ(details.request_id, "r-1");
  EXPECT_EQ(DescribeError(status),
            "INVALID_ARGUMENT: no (field sparsity.target_sparsity; reason "
            "CONTEXT_TOO_LONG got=9000 limit=8192; resource "
            "models/m/gateSets/g; retry after 1.5s; request r-1)");
}

TEST(ErrorDetailsTest, NamesAFieldOnce) {
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("sampling.n");
  EXPECT_EQ(DescribeError(StatusFromGrpc(
                WithDetails(grpc::INVALID_ARGUMENT,
                            "sampling.n must be in [1, 16]", {&bad_request}))),
            "INVALID_ARGUMENT: sampling.n must be in [1, 16]");
}

TEST(ErrorDetailsTest, LeavesOutWhatCannotBeParsed) {
  const absl::Status garbage = StatusFromGrpc(
      grpc::Status(grpc::INTERNAL, "broken", "\xff\xff not a message"));
  EXPECT_EQ(garbage, absl::InternalError("broken"));
  absl::Status unknown = absl::InternalError("broken");
  unknown.SetPayload("type.googleapis.com/unknown.Type", absl::Cord("x"));
  unknown.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                     absl::Cord("\xff\xff"));
  EXPECT_EQ(DetailsOf(unknown).retry_delay, std::nullopt);
  EXPECT_EQ(DescribeError(unknown), "INTERNAL: broken");
}

TEST(ErrorDetailsTest, DescribesOnOneLine) {
  EXPECT_EQ(DescribeError(absl::InternalError("two\nlines \x1b[31m caf\u00e9")),
            "INTERNAL: two\\nlines \\x1b[31m caf\u00e9");
  EXPECT_EQ(DescribeError(absl::InternalError(R"(it's "so" \' \")")),
            R"(INTERNAL: it's "so" \\' \\")");
}

}  // namespace
}  // namespace seer
