#include "tests/testing/engine/fakes/fake_engine.h"

#include <cmath>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/thread/mutex.h"
#include "engine/errors.h"

namespace seer {

// The queue between the engine and one reader.
struct FakeEngine::Stream {
  Mutex ready_mutex;  // held while `ready` runs; taken before `mutex`
  std::function<void()> ready ABSL_GUARDED_BY(ready_mutex);

  Mutex mutex;
  std::deque<Event> events ABSL_GUARDED_BY(mutex);
  bool ended ABSL_GUARDED_BY(mutex) = false;  // the last event was pushed
};

// What the delivery thread works on; outlives the engine while streams do.
struct FakeEngine::Delivery {
  mutable Mutex mutex;
  mutable CondVar changed;
  std::multimap<absl::Time, std::function<void()>> actions
      ABSL_GUARDED_BY(mutex);
  std::map<std::string, std::shared_ptr<Stream>> running ABSL_GUARDED_BY(mutex);
  std::vector<GenerationRequest> requests ABSL_GUARDED_BY(mutex);
  EngineStats stats ABSL_GUARDED_BY(mutex);
  std::vector<GateSetInfo> gate_sets ABSL_GUARDED_BY(mutex);
  int64_t num_cancelled ABSL_GUARDED_BY(mutex) = 0;
  bool draining ABSL_GUARDED_BY(mutex) = false;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  size_t max_unread_events = 0;
  EngineObserver* observer = nullptr;

  void Run();
  void At(absl::Time time, std::function<void()> action);
  // False where the stream has ended.
  bool Push(const std::string& id, Event event);
  void Count(const SparsityReport& report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Waits for `count` of `number` to be there.
  bool WaitFor(int64_t count, std::function<int64_t()> number) const;
};

void FakeEngine::Delivery::Run() {
  while (true) {
    std::function<void()> action;
    {
      MutexLock lock(&mutex);
      while (!stopping &&
             (actions.empty() || actions.begin()->first > absl::Now())) {
        if (actions.empty()) {
          changed.Wait(&mutex);
        } else {
          changed.WaitWithTimeout(&mutex, actions.begin()->first - absl::Now());
        }
      }
      if (stopping) return;
      action = std::move(actions.begin()->second);
      actions.erase(actions.begin());
    }
    action();
  }
}

void FakeEngine::Delivery::At(absl::Time time, std::function<void()> action) {
  MutexLock lock(&mutex);
  actions.emplace(time, std::move(action));
  changed.NotifyAll();
}

bool FakeEngine::Delivery::Push(const std::string& id, Event event) {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(&mutex);
    const auto it = running.find(id);
    if (it == running.end()) return false;
    stream = it->second;
    bool last = IsLast(event);
    MutexLock stream_lock(&stream->mutex);
    if (!last && stream->events.size() >= max_unread_events) {
      stream->events.clear();
      event = FailureEvent{WithReason(
          absl::ResourceExhaustedError("the client reads too slowly"),
          {"SLOW_READER", std::nullopt, std::nullopt})};
      last = true;
    }
    if (const auto* summary = std::get_if<SummaryEvent>(&event)) {
      Count(summary->sparsity);
    }
    stream->events.push_back(std::move(event));
    stream->ended = last;
    if (last) {
      running.erase(it);
      changed.NotifyAll();
    }
  }
  MutexLock lock(&stream->ready_mutex);
  if (stream->ready) stream->ready();
  return true;
}

void FakeEngine::Delivery::Count(const SparsityReport& report) {
  stats.blocks_total.resize(
      std::max(stats.blocks_total.size(), report.layers.size()));
  for (size_t i = 0; i < report.layers.size(); ++i) {
    stats.blocks_total[i].visible += report.layers[i].visible;
    stats.blocks_total[i].selected += report.layers[i].selected;
  }
}

bool FakeEngine::Delivery::WaitFor(int64_t count,
                                   std::function<int64_t()> number) const {
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  MutexLock lock(&mutex);
  while (number() < count) {
    if (absl::Now() >= give_up) return false;
    changed.WaitWithTimeout(&mutex, give_up - absl::Now());
  }
  return true;
}

class FakeEngine::Reader final : public TokenStream {
 public:
  Reader(std::string id, std::shared_ptr<Stream> stream,
         std::shared_ptr<Delivery> delivery)
      : id_(std::move(id)),
        stream_(std::move(stream)),
        delivery_(std::move(delivery)) {}

  ~Reader() override {
    {
      MutexLock lock(&stream_->ready_mutex);
      stream_->ready = nullptr;
    }
    EngineObserver* observer = nullptr;
    {
      MutexLock lock(&delivery_->mutex);
      if (delivery_->running.erase(id_) == 0) return;
      ++delivery_->num_cancelled;
      delivery_->changed.NotifyAll();
      if (!delivery_->stopping) observer = delivery_->observer;
    }
    if (observer != nullptr) observer->OnCancelled(absl::ZeroDuration());
  }

  bool TryNext(Event* event) override {
    MutexLock lock(&stream_->mutex);
    if (stream_->events.empty()) return false;
    *event = std::move(stream_->events.front());
    stream_->events.pop_front();
    return true;
  }

  void OnReady(std::function<void()> ready) override {
    MutexLock lock(&stream_->ready_mutex);
    stream_->ready = std::move(ready);
    bool waiting;
    {
      MutexLock stream_lock(&stream_->mutex);
      waiting = !stream_->events.empty();
    }
    if (waiting) stream_->ready();
  }

 private:
  const std::string id_;
  const std::shared_ptr<Stream> stream_;
  const std::shared_ptr<Delivery> delivery_;
};

FakeEngine::FakeEngine(Options options)
    : FakeEngine(options,
                 [model = options.model](const GenerationRequest& request) {
                   return EchoReply(request, model);
                 }) {}

FakeEngine::FakeEngine(Options options, FakeScript script)
    : options_(std::move(options)),
      script_(std::move(script)),
      delivery_(std::make_shared<Delivery>()) {
  delivery_->max_unread_events = options_.max_unread_events;
  delivery_->observer = options_.observer;
  EngineStats stats;
  stats.pages_total = 1024;
  stats.last_step_time = absl::Now();
  stats.blocks_total.resize(options_.model.num_layers);
  SetStats(std::move(stats));
  SetGateSets(options_.gate_sets);
  thread_ = std::thread([this] { delivery_->Run(); });
}

FakeEngine::~FakeEngine() {
  {
    MutexLock lock(&delivery_->mutex);
    delivery_->stopping = true;
    delivery_->changed.NotifyAll();
  }
  thread_.join();
}

absl::StatusOr<std::unique_ptr<TokenStream>> FakeEngine::Submit(
    GenerationRequest request) {
  SEER_RETURN_IF_ERROR(CheckRequest(request));
  SEER_ASSIGN_OR_RETURN(FakeReply reply, script_(request));
  const std::string id = request.request_id;
  const absl::Time deadline = request.deadline;
  auto stream = std::make_shared<Stream>();
  {
    MutexLock lock(&delivery_->mutex);
    if (delivery_->draining) {
      return WithRetryDelay(absl::UnavailableError("the server is draining"),
                            absl::Seconds(1));
    }
    if (!delivery_->running.emplace(id, stream).second) {
      return absl::InternalError(absl::StrCat("two requests are named ", id));
    }
    delivery_->requests.push_back(std::move(request));
    delivery_->changed.NotifyAll();
  }
  auto push = [delivery = delivery_.get(), id](Event event) {
    return
        [delivery, id, event = std::move(event)] { delivery->Push(id, event); };
  };
  absl::Time time = absl::Now();
  for (Event& event : reply.events) {
    delivery_->At(time, push(std::move(event)));
    time += reply.interval;
  }
  if (deadline != absl::InfiniteFuture()) {
    delivery_->At(
        deadline,
        push(FailureEvent{absl::DeadlineExceededError("the deadline passed")}));
  }
  return std::make_unique<Reader>(id, std::move(stream), delivery_);
}

absl::Status FakeEngine::CheckRequest(const GenerationRequest& request) const {
  if (request.prompt.empty()) {
    return InvalidField("prompt", "must hold at least one token");
  }
  const int64_t tokens =
      static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  if (tokens > options_.model.context_len) {
    return WithReason(
        absl::InvalidArgumentError("prompt and max_tokens exceed the context"),
        {"CONTEXT_TOO_LONG", options_.model.context_len, tokens});
  }
  if (!request.policy || request.policy->budget.kind == BudgetKind::kDense) {
    return absl::OkStatus();
  }
  const GateChoice gate = request.policy->gate.value_or(GateChoice());
  if (gate.kind == GateChoice::Kind::kMeanPool) return absl::OkStatus();
  for (const GateSetInfo& info : gate_sets()) {
    if (gate.kind == GateChoice::Kind::kNamed && info.name == gate.name) {
      return absl::OkStatus();
    }
    if ((gate.kind == GateChoice::Kind::kStable && info.stable) ||
        (gate.kind == GateChoice::Kind::kCanary && info.canary)) {
      return absl::OkStatus();
    }
  }
  if (gate.kind == GateChoice::Kind::kNamed) {
    return WithResource(absl::NotFoundError("no such gate set"),
                        "seer.v1/GateSet", gate.name);
  }
  return absl::FailedPreconditionError("no gate set has this label");
}

const ModelInfo& FakeEngine::model() const { return options_.model; }

std::vector<GateSetInfo> FakeEngine::gate_sets() const {
  GateSetInfo mean_pool;
  mean_pool.name = "mean_pool";
  mean_pool.design = "mean_pool";
  std::vector<GateSetInfo> sets = {mean_pool};
  MutexLock lock(&delivery_->mutex);
  sets.insert(sets.end(), delivery_->gate_sets.begin(),
              delivery_->gate_sets.end());
  return sets;
}

EngineStats FakeEngine::Stats() const {
  MutexLock lock(&delivery_->mutex);
  EngineStats stats = delivery_->stats;
  stats.requests_running = static_cast<int64_t>(delivery_->running.size());
  stats.draining = delivery_->draining;
  return stats;
}

void FakeEngine::SetStats(EngineStats stats) {
  MutexLock lock(&delivery_->mutex);
  delivery_->stats = std::move(stats);
}

void FakeEngine::SetGateSets(std::vector<GateSetInfo> gate_sets) {
  MutexLock lock(&delivery_->mutex);
  delivery_->gate_sets = std::move(gate_sets);
}

absl::Status FakeEngine::Drain(absl::Time deadline) {
  std::vector<std::string> left;
  {
    MutexLock lock(&delivery_->mutex);
    delivery_->draining = true;
    while (!delivery_->running.empty() && absl::Now() < deadline) {
      delivery_->changed.WaitWithTimeout(&delivery_->mutex,
                                         deadline - absl::Now());
    }
    for (const auto& [id, stream] : delivery_->running) left.push_back(id);
  }
  for (const std::string& id : left) {
    Push(id, FailureEvent{absl::UnavailableError("the server has drained")});
  }
  if (left.empty()) return absl::OkStatus();
  return absl::DeadlineExceededError("requests were still running");
}

bool FakeEngine::Push(const std::string& request_id, Event event) {
  return delivery_->Push(request_id, std::move(event));
}

std::vector<GenerationRequest> FakeEngine::requests() const {
  MutexLock lock(&delivery_->mutex);
  return delivery_->requests;
}

int64_t FakeEngine::num_cancelled() const {
  MutexLock lock(&delivery_->mutex);
  return delivery_->num_cancelled;
}

bool FakeEngine::WaitForRequests(int64_t count) const {
  const Delivery* delivery = delivery_.get();
  return delivery->WaitFor(count, [delivery]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return static_cast<int64_t>(delivery->requests.size());
  });
}

bool FakeEngine::WaitForCancelled(int64_t count) const {
  const Delivery* delivery = delivery_.get();
  return delivery->WaitFor(count, [delivery]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return delivery->num_cancelled;
  });
}

}  // namespace seer
