#include "engine/llama_engine/loading/memory_plan.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

MemoryNeeds CardOf80() {
  MemoryNeeds needs;
  needs.free_bytes = 60 * kGiB;
  needs.kv_fraction = 0.9;
  needs.bytes_per_page = 9 << 20;
  needs.step_bytes = 2 * kGiB;
  return needs;
}

TEST(MemoryPlanTest, PagesFillTheirShare) {
  const MemoryNeeds needs = CardOf80();
  const auto plan = PlanMemory(needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->page_bytes, plan->num_pages * needs.bytes_per_page);
  EXPECT_LE(plan->page_bytes, 54 * kGiB);
  EXPECT_GT(plan->page_bytes + needs.bytes_per_page, 54 * kGiB);
}

TEST(MemoryPlanTest, AStepMustFitBeside) {
  MemoryNeeds needs = CardOf80();
  needs.step_bytes = 7 * kGiB;
  const absl::Status status = PlanMemory(needs).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("kv_memory_fraction"), std::string::npos);
  needs.kv_fraction = 0.8;
  EXPECT_TRUE(PlanMemory(needs).ok());
}

TEST(MemoryPlanTest, APageMustFit) {
  MemoryNeeds needs = CardOf80();
  needs.step_bytes = 0;
  needs.free_bytes = 5 << 20;
  EXPECT_EQ(PlanMemory(needs).status().code(),
            absl::StatusCode::kResourceExhausted);
  needs.free_bytes = 0;
  EXPECT_EQ(PlanMemory(needs).status().code(),
            absl::StatusCode::kResourceExhausted);
  needs.free_bytes = 11 << 20;
  ASSERT_TRUE(PlanMemory(needs).ok());
  EXPECT_EQ(PlanMemory(needs)->num_pages, 1);
}

TEST(MemoryPlanTest, PageNumbersAreInts) {
  MemoryNeeds needs = CardOf80();
  needs.bytes_per_page = 1;
  ASSERT_TRUE(PlanMemory(needs).ok());
  EXPECT_EQ(PlanMemory(needs)->num_pages, INT32_MAX);
}

}  // namespace
}  // namespace seer
