// Time to plan and commit one step with 256 running sequences: all decoding,
// and decoding beside prompts. Prints the median and the 99th percentile.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/step_plan.h"

namespace {

using seer::RequestId;
using seer::Scheduler;

constexpr int64_t kRunning = 256;
constexpr int64_t kPromptLen = 4000;
constexpr int64_t kMaxTokens = 600;
constexpr int kSteps = 20000;

struct Load {
  RequestId next_id = 0;
  std::vector<int64_t> drawn;  // [request], tokens
};

// Keeps kRunning requests; those that drew their last token give way to new
// ones, of lengths that vary, so that steps are decode-only or mixed.
void Refill(Scheduler& scheduler, Load& load) {
  while (scheduler.num_requests_running() + scheduler.num_requests_waiting() <
         kRunning) {
    const int64_t prompt_len = 1 + load.next_id * 997 % kPromptLen;
    if (!scheduler.Add(load.next_id, {prompt_len, kMaxTokens, 1}).ok()) return;
    load.drawn.push_back(0);
    ++load.next_id;
  }
}

}  // namespace

int main() {
  seer::SchedulerOptions options;
  options.max_running = kRunning;
  options.max_step_tokens = 2048;
  if (!options.Validate().ok()) return 1;
  seer::PageAllocator pages(kRunning * ((kPromptLen + kMaxTokens) / 64 + 2));
  Scheduler scheduler(options, &pages);
  Load load;
  std::vector<double> microseconds;
  int64_t rows = 0;
  for (int step = 0; step < kSteps; ++step) {
    Refill(scheduler, load);
    const absl::Time begin = absl::Now();
    const seer::StepPlan& plan = scheduler.Plan();
    scheduler.Commit();
    microseconds.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
    rows += plan.num_tokens();
    for (const seer::PlannedSlice& slice : plan.slices) {
      if (slice.is_prompt() && !slice.ends_prompt()) continue;
      if (++load.drawn[slice.request] < kMaxTokens) continue;
      // Checked before timed: a step lost or done twice would end early.
      if (!scheduler.FinishChoice(slice.request, 0)) return 1;
    }
  }
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("steps %d, rows a step %.1f, requests %lld\n", kSteps,
              static_cast<double>(rows) / kSteps,
              static_cast<long long>(load.next_id));
  std::printf("plan + commit, us: median %.1f, p99 %.1f, max %.1f\n",
              microseconds[kSteps / 2], microseconds[kSteps * 99 / 100],
              microseconds.back());
  return 0;
}
