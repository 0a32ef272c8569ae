#include "engine/llama_engine.h"

#include <future>
#include <random>
#include <thread>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/oracle.h"
#include "engine/gate/policy/gate_table.h"
#include "engine/gate/policy/policy_resolver.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/background/calibration_work.h"
#include "engine/llama_engine/background/llama_calibrator.h"
#include "engine/llama_engine/engine_loop.h"
#include "engine/llama_engine/gates/gate_slots.h"
#include "engine/llama_engine/gates/slot_gate_control.h"
#include "engine/llama_engine/loading/loaded_model.h"
#include "engine/llama_engine/loading/warm_up.h"
#include "engine/llama_engine/requests/inbox.h"
#include "engine/llama_engine/requests/request_checks.h"
#include "engine/llama_engine/requests/request_run.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/weights/model_config.h"

namespace seer {
namespace {

uint64_t DrawSeed() {
  std::random_device random;
  return (uint64_t{random()} << 32) | random();
}

// Ids that end a text: of the tokenizer's files and of config.json.
std::vector<TokenId> EndIds(const Tokenizer& tokenizer,
                            const ModelConfig& config) {
  absl::btree_set<TokenId> ids(config.eos_ids.begin(), config.eos_ids.end());
  ids.insert(tokenizer.end_tokens().begin(), tokenizer.end_tokens().end());
  return {ids.begin(), ids.end()};
}

ModelInfo ModelInfoOf(const LlamaEngineOptions& options,
                      const Tokenizer& tokenizer, const LoadedModel& loaded) {
  const ModelConfig& config = loaded.model->config();
  ModelInfo info;
  info.model_id = options.model_id;
  info.fingerprint = loaded.gate_target.fingerprint;
  info.context_len = config.context_len;
  info.vocab_size = config.vocab_size;
  info.num_layers = config.num_layers;
  info.num_query_heads = config.num_query_heads;
  info.num_kv_heads = config.num_kv_heads;
  info.head_dim = config.head_dim;
  info.dtype = options.dtype;
  info.device = loaded.device->name();
  info.end_ids = EndIds(tokenizer, config);
  info.allow_oracle_gates = options.policy.allow_oracle_gates;
  return info;
}

GateSetInfo InfoOf(const GateSet& set) {
  GateSetInfo info;
  info.name = set.name;
  info.design = set.gate->design();
  info.version = set.version;
  info.has_profile = set.profile.has_value();
  return info;
}

}  // namespace

// In order of construction: what is borrowed comes first.
struct LlamaEngine::Rooms {
  Rooms(const LlamaEngineOptions& options, const Tokenizer* tokenizer,
        LoadedModel the_model)
      : options(options),
        tokenizer(tokenizer),
        info(ModelInfoOf(options, *tokenizer, the_model)),
        loaded(std::move(the_model)),
        policies(loaded.gate_target.shape, options.policy),
        pages(static_cast<int32_t>(loaded.cache.shape().num_pages)),
        admission(options.admission),
        scheduler(options.scheduler, &pages),
        inbox(std::make_shared<Inbox>()),
        gate_control(loaded.gate_target, loaded.gates.get(), inbox.get()) {}

  void MakeCalibrator(EngineObserver* observer);
  // Returns when the thread takes requests, or why it does not.
  absl::Status StartThread(EngineObserver* observer);
  absl::Status WarmUpDevice();

  const LlamaEngineOptions options;
  const Tokenizer* const tokenizer;
  const ModelInfo info;
  LoadedModel loaded;
  const PolicyResolver policies;
  PageAllocator pages;
  Admission admission;
  Scheduler scheduler;
  std::shared_ptr<Inbox> inbox;
  SlotGateControl gate_control;
  std::unique_ptr<CalibrationWork> background;
  std::unique_ptr<LlamaCalibrator> calibrator;
  std::unique_ptr<EngineLoop> loop;
  std::thread thread;
};

void LlamaEngine::Rooms::MakeCalibrator(EngineObserver* observer) {
  CalibrationWork::Parts work;
  work.device = loaded.device.get();
  work.source = {loaded.model.get(), &loaded.cache, &pages, &scheduler};
  work.fingerprint = info.fingerprint;
  work.step_bytes = loaded.step_bytes;
  work.round_time = options.scheduler.step_time;
  work.observer = observer;
  background = std::make_unique<CalibrationWork>(work);
  LlamaCalibrator::Parts parts;
  parts.work = background.get();
  parts.inbox = inbox;
  const Device& device = *loaded.device;
  parts.engine = {info.fingerprint, loaded.model->dtype(),
                  device.backend() == Backend::kCpu ? "cpu" : "cuda"};
  parts.context_len = info.context_len;
  parts.num_layers = info.num_layers;
  parts.num_pages = pages.num_pages();
  parts.allow_oracle_gates = options.policy.allow_oracle_gates;
  calibrator = std::make_unique<LlamaCalibrator>(parts);
}

absl::Status LlamaEngine::Rooms::WarmUpDevice() {
  if (loaded.device->shares_host_memory()) return absl::OkStatus();
  const std::shared_ptr<const GateTable> gates = loaded.gates->table();
  WarmUpArgs args;
  args.model = loaded.model.get();
  args.cache = &loaded.cache;
  args.gates = {&gates->mean_pool->state};
  // An oracle has nothing to warm up.
  if (gates->stable != nullptr &&
      OracleNamed(gates->stable->set->gate->design()) == Oracle::kNone) {
    args.gates.push_back(&gates->stable->state);
  }
  args.max_step_tokens = options.scheduler.max_step_tokens;
  args.max_running = options.scheduler.max_running;
  return WarmUp(args);
}

absl::Status LlamaEngine::Rooms::StartThread(EngineObserver* observer) {
  MakeCalibrator(observer);
  EngineLoop::Parts parts;
  parts.model = loaded.model.get();
  parts.cache = &loaded.cache;
  parts.pages = &pages;
  parts.scheduler = &scheduler;
  parts.admission = &admission;
  parts.inbox = inbox.get();
  parts.executor = loaded.executor.get();
  parts.observer = observer;
  parts.background = background.get();
  parts.slow_reader_timeout = options.slow_reader_timeout;
  loop = std::make_unique<EngineLoop>(parts);
  std::promise<absl::Status> promise;
  std::future<absl::Status> warm = promise.get_future();
  thread = std::thread([this, promise = std::move(promise)]() mutable {
    loaded.executor->BindThisThread();
    const absl::Status status = WarmUpDevice();
    promise.set_value(status);
    if (status.ok()) loop->Run();
  });
  return warm.get();
}

LlamaEngine::LlamaEngine(std::unique_ptr<Rooms> rooms)
    : rooms_(std::move(rooms)) {}

LlamaEngine::~LlamaEngine() {
  rooms_->inbox->Stop();
  if (rooms_->thread.joinable()) rooms_->thread.join();
}

absl::StatusOr<std::unique_ptr<LlamaEngine>> LlamaEngine::Create(
    const LlamaEngineOptions& options, const Tokenizer* tokenizer,
    EngineObserver* observer) {
  SEER_RETURN_IF_ERROR(options.Validate());
  SEER_ASSIGN_OR_RETURN(const ModelConfig config,
                        LoadModelConfig(options.model_dir));
  if (tokenizer->vocab_size() > config.vocab_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tokenizer has ", tokenizer->vocab_size(),
                     " ids, the model only ", config.vocab_size));
  }
  SEER_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(options, config));
  auto rooms = std::make_unique<Rooms>(options, tokenizer, std::move(loaded));
  std::unique_ptr<LlamaEngine> engine(new LlamaEngine(std::move(rooms)));
  SEER_RETURN_IF_ERROR(engine->rooms_->StartThread(observer));
  return engine;
}

absl::StatusOr<std::unique_ptr<TokenStream>> LlamaEngine::Submit(
    GenerationRequest request) {
  const absl::Time now = absl::Now();
  SEER_RETURN_IF_ERROR(rooms_->inbox->CheckOpen());
  SEER_RETURN_IF_ERROR(
      CheckRequest(request, rooms_->info.vocab_size, rooms_->info.context_len));
  if (request.deadline <= now) {
    return absl::DeadlineExceededError("the request's deadline has passed");
  }
  const int64_t prompt_len = static_cast<int64_t>(request.prompt.size());
  SEER_RETURN_IF_ERROR(rooms_->scheduler.CheckRunnable(
      {prompt_len, request.max_tokens, request.num_choices}));
  if (!request.sampling.seed.has_value()) request.sampling.seed = DrawSeed();

  RequestRun::Init init;
  SEER_ASSIGN_OR_RETURN(
      init.policy,
      rooms_->policies.Resolve(*rooms_->loaded.gates->table(), request.policy,
                               request.request_id, prompt_len));
  absl::StatusOr<std::shared_ptr<const StopStrings>> stop_strings =
      StopStrings::Make(request.stop_strings);
  if (!stop_strings.ok()) {
    return InvalidField("stop_strings", stop_strings.status().message());
  }
  init.stop_strings = *std::move(stop_strings);
  if (request.priority != Priority::kBackground) {
    SEER_ASSIGN_OR_RETURN(init.place, rooms_->admission.Enter(prompt_len));
  }

  EventStreamEnds ends = MakeEventStream(
      rooms_->options.event_stream, [inbox = rooms_->inbox] { inbox->Wake(); });
  const EffectivePolicy& effective = init.policy.plan.effective;
  ends.outbox.Push(AcceptedEvent{init.place.queue_position(), effective.gate,
                                 effective.gate_version});
  init.request = std::move(request);
  init.end_ids = rooms_->info.end_ids;
  init.tokenizer = rooms_->tokenizer;
  init.num_layers = rooms_->info.num_layers;
  init.submit_time = now;
  SEER_RETURN_IF_ERROR(rooms_->inbox->Add(
      std::make_unique<RequestRun>(std::move(init), std::move(ends.outbox))));
  return std::move(ends.stream);
}

const ModelInfo& LlamaEngine::model() const { return rooms_->info; }

Calibrator& LlamaEngine::calibrator() { return *rooms_->calibrator; }

std::vector<GateSetInfo> LlamaEngine::gate_sets() const {
  const std::shared_ptr<const GateTable> table = rooms_->loaded.gates->table();
  std::vector<GateSetInfo> infos = {InfoOf(*table->mean_pool->set)};
  for (const InstalledGateSetPtr& installed : table->sets) {
    infos.push_back(InfoOf(*installed->set));
    infos.back().stable = installed == table->stable;
    infos.back().canary = installed == table->canary;
  }
  return infos;
}

EngineStats LlamaEngine::Stats() const {
  EngineStats stats = rooms_->loop->Stats();
  const Admission::Load load = rooms_->admission.load();
  stats.requests_waiting = load.waiting_requests;
  stats.waiting_tokens = load.backlog_tokens;
  stats.predicted_queue_delay = load.predicted_queue_delay;
  stats.pages_total = rooms_->loaded.cache.shape().num_pages;
  stats.healthy = rooms_->inbox->healthy();
  stats.draining = rooms_->inbox->draining();
  stats.weight_bytes = rooms_->loaded.model->weight_bytes();
  stats.kv_cache_bytes = static_cast<int64_t>(rooms_->loaded.cache.num_bytes());
  stats.gate_bytes = rooms_->loaded.gates->num_bytes();
  stats.step_bytes = rooms_->loaded.step_bytes;
  return stats;
}

GateControl& LlamaEngine::gates() { return rooms_->gate_control; }

absl::Status LlamaEngine::Drain(absl::Time deadline) {
  rooms_->admission.StartDraining();
  switch (rooms_->inbox->Drain(deadline, rooms_->options.max_step)) {
    case Inbox::Drained::kAllFinished:
      return absl::OkStatus();
    case Inbox::Drained::kSomeCut:
      return absl::DeadlineExceededError(
          "requests were still running at the drain's deadline");
    case Inbox::Drained::kStillRunning:
      break;
  }
  return absl::InternalError("the engine hangs: a step does not end");
}

}  // namespace seer
