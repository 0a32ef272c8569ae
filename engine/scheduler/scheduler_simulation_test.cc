// Random traffic against a model of what the pages hold: every row must find,
// through its page table, exactly the tokens before it.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/sequence_lengths.h"
#include "engine/scheduler/step_plan.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int kPageTokens = 64;

struct Traffic {
  std::string name;
  SchedulerOptions options;
  int32_t num_pages = 0;
  int64_t max_prompt = 0;
  int64_t max_tokens = 0;
  int32_t max_choices = 1;
  double arrivals = 0.0;    // probability of one more, a step
  double cancels = 0.0;     // probability of one, a step
  double early_ends = 0.0;  // probability that a choice ends, a token
  double holds = 0.0;       // probability that a request is held, a step
  double abandoned = 0.0;   // probability that a step fails
  int num_steps = 0;        // with arrivals; then it runs dry
};

// One request as the engine sees it.
struct Client {
  SequenceLengths lengths;
  std::vector<int64_t> computed;  // per choice, positions
  std::vector<bool> finished;     // per choice
  int64_t prompt_computed = 0;
  bool held = false;
  bool started = false;

  int64_t num_choices() const { return computed.size(); }
  bool prompt_whole() const { return prompt_computed == lengths.prompt_len; }
};

class Simulation {
 public:
  Simulation(const Traffic& traffic, uint32_t seed)
      : traffic_(traffic),
        random_(seed),
        pages_(traffic.num_pages),
        scheduler_(traffic.options, &pages_),
        contents_(traffic.num_pages * kPageTokens, 0) {}

  void Run() {
    int steps = 0;
    while (steps < traffic_.num_steps || !clients_.empty()) {
      ASSERT_LT(steps, 100 * traffic_.num_steps) << "does not run dry";
      if (steps < traffic_.num_steps) Arrive();
      Cancel();
      Hold(steps < traffic_.num_steps ? traffic_.holds : 0.0);
      ASSERT_NO_FATAL_FAILURE(Step());
      ASSERT_NO_FATAL_FAILURE(CheckPages());
      ++steps;
    }
    EXPECT_EQ(pages_.num_used(), 0);
    EXPECT_EQ(pages_.num_reserved(), 0);
    EXPECT_EQ(scheduler_.num_requests_waiting(), 0);
    EXPECT_EQ(scheduler_.num_requests_running(), 0);
    EXPECT_EQ(scheduler_.num_sequences_running(), 0);
    EXPECT_EQ(scheduler_.backlog_tokens(), 0);
    EXPECT_GT(num_completed_, traffic_.num_steps / 100);
  }

 private:
  bool Chance(double probability) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }
  int64_t Draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  // What the row at `position` leaves in its page.
  uint64_t Stamp(RequestId id, int32_t choice, int64_t position) const {
    const bool prompt = position < clients_.at(id).lengths.prompt_len;
    return (id + 1) << 32 |
           static_cast<uint64_t>(prompt ? 0 : choice + 1) << 24 |
           static_cast<uint64_t>(position);
  }
  uint64_t& At(const PlannedSlice& slice, int64_t position) {
    return contents_[slice.page_table[position / kPageTokens] * kPageTokens +
                     position % kPageTokens];
  }

  void Arrive() {
    while (Chance(traffic_.arrivals)) {
      Client client;
      // Mostly short, sometimes as long as can be.
      client.lengths.prompt_len =
          Draw(1, Chance(0.2) ? traffic_.max_prompt : traffic_.max_prompt / 8);
      client.lengths.max_tokens = Draw(0, traffic_.max_tokens);
      client.lengths.num_choices = Draw(1, traffic_.max_choices);
      const RequestId id = next_id_++;
      const absl::Status status = scheduler_.Add(id, client.lengths);
      const bool runnable = client.lengths.PagesNeeded() <= pages_.num_pages();
      ASSERT_EQ(status.ok(), runnable) << status;
      if (!status.ok()) continue;
      const int64_t n =
          client.lengths.max_tokens == 0 ? 1 : client.lengths.num_choices;
      client.computed.assign(n, 0);
      client.finished.assign(n, false);
      clients_.emplace(id, client);
    }
  }

  void Cancel() {
    while (!clients_.empty() && Chance(traffic_.cancels)) {
      auto it = clients_.begin();
      std::advance(it, Draw(0, clients_.size() - 1));
      ASSERT_TRUE(scheduler_.Remove(it->first));
      ASSERT_FALSE(scheduler_.Remove(it->first));
      clients_.erase(it);
    }
  }

  void Hold(double probability) {
    for (auto& [id, client] : clients_) {
      const bool held = Chance(probability);
      if (held != client.held) scheduler_.SetHeld(id, held);
      client.held = held;
    }
  }

  void Step() {
    const StepPlan& plan = scheduler_.Plan();
    ASSERT_NO_FATAL_FAILURE(CheckPlan(plan));
    for (const PageCopy& copy : plan.copies) {
      std::copy_n(&contents_[copy.source * kPageTokens], kPageTokens,
                  &contents_[copy.target * kPageTokens]);
    }
    for (const PlannedSlice& slice : plan.slices) {
      ASSERT_NO_FATAL_FAILURE(RunSlice(slice));
    }
    if (Chance(traffic_.abandoned)) return;
    const std::vector<PlannedSlice> slices = plan.slices;
    scheduler_.Commit();
    for (const PlannedSlice& slice : slices) {
      ASSERT_NO_FATAL_FAILURE(Account(slice));
    }
  }

  void RunSlice(const PlannedSlice& slice) {
    ASSERT_EQ(static_cast<int64_t>(slice.page_table.size()),
              (slice.position_begin + slice.num_tokens + kPageTokens - 1) /
                  kPageTokens);
    for (int64_t position = 0; position < slice.position_begin; ++position) {
      ASSERT_EQ(At(slice, position),
                Stamp(slice.request, slice.choice, position))
          << "request " << slice.request << " choice " << slice.choice;
    }
    for (int64_t i = 0; i < slice.num_tokens; ++i) {
      At(slice, slice.position_begin + i) =
          Stamp(slice.request, slice.choice, slice.position_begin + i);
    }
  }

  // The slice counts; its choices may now end.
  void Account(const PlannedSlice& slice) {
    Client& client = clients_.at(slice.request);
    client.computed[slice.choice] += slice.num_tokens;
    if (slice.is_prompt()) {
      client.prompt_computed += slice.num_tokens;
      if (!slice.ends_prompt()) return;
      client.computed.assign(client.num_choices(), client.lengths.prompt_len);
    }
    for (int32_t choice = 0; choice < client.num_choices(); ++choice) {
      if (!slice.is_prompt() && choice != slice.choice) continue;
      const int64_t drawn =
          client.computed[choice] - client.lengths.prompt_len + 1;
      ASSERT_LE(drawn, std::max<int64_t>(client.lengths.max_tokens, 1));
      if (drawn < client.lengths.max_tokens && !Chance(traffic_.early_ends)) {
        continue;
      }
      ASSERT_TRUE(scheduler_.FinishChoice(slice.request, choice));
      ASSERT_FALSE(scheduler_.FinishChoice(slice.request, choice));
      client.finished[choice] = true;
    }
    if (std::count(client.finished.begin(), client.finished.end(), false) ==
        0) {
      clients_.erase(slice.request);
      ++num_completed_;
    }
  }

  void CheckPlan(const StepPlan& plan) {
    const int64_t fixed = traffic_.options.fixed_chunk_tokens.value_or(0);
    int64_t num_rows = 0;
    bool generated_seen = false;
    std::set<std::pair<RequestId, int32_t>> seen;
    std::vector<RequestId> prompts;
    for (const PlannedSlice& slice : plan.slices) {
      ASSERT_TRUE(seen.insert({slice.request, slice.choice}).second);
      ASSERT_TRUE(clients_.count(slice.request));
      Client& client = clients_.at(slice.request);
      ASSERT_FALSE(client.held);
      ASSERT_FALSE(client.finished[slice.choice]);
      ASSERT_EQ(slice.position_begin, client.computed[slice.choice]);
      ASSERT_EQ(slice.prompt_len, client.lengths.prompt_len);
      ASSERT_GE(slice.num_tokens, 1);
      num_rows += slice.num_tokens;
      if (!slice.is_prompt()) {
        generated_seen = true;
        ASSERT_EQ(slice.num_tokens, 1);
        continue;
      }
      ASSERT_FALSE(generated_seen);
      ASSERT_EQ(slice.choice, 0);
      ASSERT_EQ(slice.position_begin % kPageTokens, 0);
      const int64_t end = slice.position_begin + slice.num_tokens;
      ASSERT_LE(end, slice.prompt_len);
      ASSERT_TRUE(end == slice.prompt_len ||
                  slice.num_tokens % kPageTokens == 0);
      if (fixed > 0) {
        ASSERT_EQ(
            slice.num_tokens,
            std::min<int64_t>(fixed, slice.prompt_len - slice.position_begin));
      }
      prompts.push_back(slice.request);
      client.started = true;
    }
    ASSERT_EQ(num_rows, plan.num_tokens());
    ASSERT_LE(num_rows, traffic_.options.max_step_tokens);
    // Prompts progress in order of arrival: ids count up.
    ASSERT_TRUE(std::is_sorted(prompts.begin(), prompts.end()));
    ASSERT_NO_FATAL_FAILURE(CheckNobodyStarves(seen));
  }

  // Every choice that can decode does. The first prompt that is not whole
  // progresses; one that waits is behind it, or behind one that holds pages.
  void CheckNobodyStarves(
      const std::set<std::pair<RequestId, int32_t>>& planned) {
    bool first_prompt = true;
    bool first_waiting = true;
    for (const auto& [id, client] : clients_) {
      if (scheduler_.IsRunning(id)) {
        ASSERT_TRUE(first_waiting) << "passed one that came before";
      } else {
        first_waiting = false;
        continue;
      }
      if (client.held) continue;
      if (!client.prompt_whole()) {
        if (first_prompt) {
          ASSERT_TRUE(planned.count({id, 0}));
        }
        first_prompt = false;
        continue;
      }
      for (int32_t choice = 0; choice < client.num_choices(); ++choice) {
        ASSERT_EQ(planned.count({id, choice}), !client.finished[choice]);
      }
    }
    if (scheduler_.num_requests_running() == 0) {
      ASSERT_TRUE(clients_.empty());
    }
  }

  void CheckPages() {
    ASSERT_EQ(pages_.num_used() + pages_.num_free(), pages_.num_pages());
    ASSERT_GE(pages_.num_reserved(), 0);
    ASSERT_LE(pages_.num_reserved(), pages_.num_free());
    int64_t backlog = 0;
    int64_t sequences = 0;
    for (const auto& [id, client] : clients_) {
      backlog += client.lengths.prompt_len - client.prompt_computed;
      if (!scheduler_.IsRunning(id)) continue;
      sequences +=
          std::count(client.finished.begin(), client.finished.end(), false);
    }
    ASSERT_EQ(scheduler_.backlog_tokens(), backlog);
    ASSERT_EQ(scheduler_.num_sequences_running(), sequences);
    ASSERT_LE(sequences, traffic_.options.max_running);
    ASSERT_EQ(static_cast<size_t>(scheduler_.num_requests_running() +
                                  scheduler_.num_requests_waiting()),
              clients_.size());
  }

  const Traffic traffic_;
  std::mt19937 random_;
  PageAllocator pages_;
  Scheduler scheduler_;
  std::vector<uint64_t> contents_;  // [num_pages, 64], stamps
  std::map<RequestId, Client> clients_;
  RequestId next_id_ = 1;
  int64_t num_completed_ = 0;
};

std::vector<Traffic> AllTraffic() {
  const auto options = [](int64_t step, int64_t running,
                          std::optional<int64_t> fixed = std::nullopt) {
    SchedulerOptions options;
    options.max_step_tokens = step;
    options.max_running = running;
    options.fixed_chunk_tokens = fixed;
    return options;
  };
  Traffic plain{"plain", options(256, 16), 64, 1000, 40, 1};
  plain.arrivals = 0.3;
  plain.num_steps = 2000;
  Traffic choices = plain;
  choices.name = "choices";
  choices.max_choices = 6;
  choices.early_ends = 0.1;
  Traffic fixed = choices;
  fixed.name = "fixed_chunks";
  fixed.options = options(300, 16, 192);
  Traffic storm = choices;
  storm.name = "cancel_storm";
  storm.arrivals = 0.7;
  storm.cancels = 0.6;
  Traffic tight = choices;
  tight.name = "tight_memory";
  tight.num_pages = 20;
  tight.options = options(80, 16);
  Traffic faults = choices;
  faults.name = "holds_and_failed_steps";
  faults.holds = 0.2;
  faults.abandoned = 0.2;
  faults.cancels = 0.05;
  return {plain, choices, fixed, storm, tight, faults};
}

class SchedulerSimulation : public testing::TestWithParam<Traffic> {};

TEST_P(SchedulerSimulation, ComputesEveryPositionOnceInOrder) {
  ASSERT_TRUE(GetParam().options.Validate().ok());
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    Simulation simulation(GetParam(), seed);
    ASSERT_NO_FATAL_FAILURE(simulation.Run());
  }
}

INSTANTIATE_TEST_SUITE_P(Traffic, SchedulerSimulation,
                         testing::ValuesIn(AllTraffic()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace seer
