#include "base/status_macros.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

absl::Status Pass(absl::Status status, int* evaluations) {
  ++*evaluations;
  return status;
}

absl::Status ReturnIfError(absl::Status status, int* evaluations,
                           bool* reached_end) {
  SEER_RETURN_IF_ERROR(Pass(status, evaluations));
  *reached_end = true;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<int>> MakeInt(absl::StatusOr<int> value) {
  SEER_ASSIGN_OR_RETURN(const int n, value);
  return std::make_unique<int>(n);
}

absl::StatusOr<int> Sum(absl::StatusOr<int> a, absl::StatusOr<int> b) {
  SEER_ASSIGN_OR_RETURN(std::unique_ptr<int> sum, MakeInt(a));
  int addend = 0;
  SEER_ASSIGN_OR_RETURN(addend, b);
  return *sum + addend;
}

TEST(ReturnIfErrorTest, GoesOnWhenOk) {
  int evaluations = 0;
  bool reached_end = false;
  EXPECT_TRUE(ReturnIfError(absl::OkStatus(), &evaluations, &reached_end).ok());
  EXPECT_TRUE(reached_end);
  EXPECT_EQ(evaluations, 1);
}

TEST(ReturnIfErrorTest, ReturnsTheErrorUnchanged) {
  int evaluations = 0;
  bool reached_end = false;
  const absl::Status error = absl::DataLossError("cut short");
  EXPECT_EQ(ReturnIfError(error, &evaluations, &reached_end), error);
  EXPECT_FALSE(reached_end);
  EXPECT_EQ(evaluations, 1);
}

TEST(AssignOrReturnTest, AssignsDeclarationsAndLvalues) {
  EXPECT_EQ(*Sum(2, 3), 5);
}

TEST(AssignOrReturnTest, ReturnsTheErrorUnchanged) {
  const absl::Status error = absl::NotFoundError("no such thing");
  EXPECT_EQ(Sum(error, 3).status(), error);
  EXPECT_EQ(Sum(2, error).status(), error);
}

}  // namespace
}  // namespace seer
