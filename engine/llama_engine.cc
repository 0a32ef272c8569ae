#include "engine/llama_engine.h"

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "engine/gate/gate_entries.h"
#include "engine/gate/gate_set.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/engine_loop.h"
#include "engine/llama_engine/inbox.h"
#include "engine/llama_engine/request_checks.h"
#include "engine/llama_engine/request_run.h"
#include "engine/model/aten_executor.h"
#include "engine/model/llama_model.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/weights/fingerprint.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"

namespace seer {
namespace {

uint64_t DrawSeed() {
  std::random_device random;
  return (uint64_t{random()} << 32) | random();
}

GateShape GateShapeOf(const ModelConfig& config, DType dtype) {
  GateShape shape;
  shape.num_layers = config.num_layers;
  shape.num_query_heads = config.num_query_heads;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.dtype = dtype;
  return shape;
}

// Ids that end a text: of the tokenizer's files and of config.json.
std::vector<TokenId> EndIds(const Tokenizer& tokenizer,
                            const ModelConfig& config) {
  absl::btree_set<TokenId> ids(config.eos_ids.begin(), config.eos_ids.end());
  ids.insert(tokenizer.end_tokens().begin(), tokenizer.end_tokens().end());
  return {ids.begin(), ids.end()};
}

ModelInfo ModelInfoOf(const LlamaEngineOptions& options,
                      const Tokenizer& tokenizer, const ModelConfig& config) {
  ModelInfo info;
  info.model_id = options.model_id;
  info.context_len = config.context_len;
  info.vocab_size = config.vocab_size;
  info.num_layers = config.num_layers;
  info.num_query_heads = config.num_query_heads;
  info.num_kv_heads = config.num_kv_heads;
  info.head_dim = config.head_dim;
  info.dtype = options.dtype;
  info.device = "cpu";
  info.end_ids = EndIds(tokenizer, config);
  return info;
}

absl::StatusOr<KvCache> AllocateCache(const LlamaEngineOptions& options,
                                      const ModelConfig& config, DType dtype) {
  KvCacheShape shape;
  shape.num_layers = config.num_layers;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.dtype = dtype;
  shape.num_pages = std::min<int64_t>(
      options.kv_cache_bytes / static_cast<int64_t>(BytesPerPage(shape)),
      std::numeric_limits<PageId>::max());
  if (shape.num_pages < 1) {
    return absl::ResourceExhaustedError(
        absl::StrCat("kv_cache_bytes is ", options.kv_cache_bytes,
                     "; one page takes ", BytesPerPage(shape)));
  }
  return KvCache::Allocate(shape);
}

}  // namespace

absl::Status LlamaEngineOptions::Validate() const {
  const bool is_id =
      std::all_of(model_id.begin(), model_id.end(), [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      });
  if (!is_id || model_id.empty() || model_id.size() > 63) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model_id must be 1 to 63 of [a-z0-9-], is \"", model_id, "\""));
  }
  if (dtype != "bfloat16" && dtype != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("dtype must be bfloat16 or float32, is ", dtype));
  }
  if (num_threads < 1 || num_threads > 1024) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_threads must be 1 to 1024, is ", num_threads));
  }
  constexpr int64_t kMostBytes = int64_t{1} << 46;
  if (kv_cache_bytes < 1 || kv_cache_bytes > kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "kv_cache_bytes must be 1 to ", kMostBytes, ", is ", kv_cache_bytes));
  }
  if (max_step < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError("max_step must be at least 1ms");
  }
  if (slow_reader_timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        "slow_reader_timeout must be at least a millisecond");
  }
  if (event_stream.capacity_bytes < 1 || event_stream.max_delta_tokens < 1) {
    return absl::InvalidArgumentError("event_stream limits must be at least 1");
  }
  SEER_RETURN_IF_ERROR(policy.Validate());
  SEER_RETURN_IF_ERROR(scheduler.Validate());
  return admission.Validate();
}

// In order of construction: what is borrowed comes first.
struct LlamaEngine::Rooms {
  Rooms(const LlamaEngineOptions& options, const Tokenizer* tokenizer,
        const ModelConfig& config, KvCache the_cache)
      : options(options),
        tokenizer(tokenizer),
        info(ModelInfoOf(options, *tokenizer, config)),
        executor(options.num_threads),
        cache(std::move(the_cache)),
        pages(static_cast<int32_t>(cache.shape().num_pages)),
        admission(options.admission),
        scheduler(options.scheduler, &pages),
        inbox(std::make_shared<Inbox>()) {}

  absl::Status LoadGates(const GateShape& shape);
  void StartThread(EngineObserver* observer);

  const LlamaEngineOptions options;
  const Tokenizer* const tokenizer;
  ModelInfo info;
  AtenExecutor executor;
  std::unique_ptr<LlamaModel> model;
  KvCache cache;
  std::unique_ptr<const PolicyResolver> policies;
  std::map<const Gate*, GateEntries> gate_entries;
  PageAllocator pages;
  Admission admission;
  Scheduler scheduler;
  std::shared_ptr<Inbox> inbox;
  std::unique_ptr<EngineLoop> loop;
  std::thread thread;
};

absl::Status LlamaEngine::Rooms::LoadGates(const GateShape& shape) {
  std::shared_ptr<const GateSet> stable;
  if (!options.gate_set_file.empty()) {
    SEER_ASSIGN_OR_RETURN(
        stable, LoadGateSet(options.gate_set_file,
                            {shape, options.model_id, info.fingerprint}));
  }
  policies = std::make_unique<const PolicyResolver>(shape, options.policy,
                                                    std::move(stable));
  for (const std::shared_ptr<const GateSet>& set : policies->gate_sets()) {
    SEER_ASSIGN_OR_RETURN(
        GateEntries entries,
        GateEntries::Allocate(shape, set->gate->num_entry_heads(),
                              cache.shape().num_pages));
    gate_entries.emplace(set->gate.get(), std::move(entries));
  }
  return absl::OkStatus();
}

void LlamaEngine::Rooms::StartThread(EngineObserver* observer) {
  EngineLoop::Parts parts;
  parts.model = model.get();
  parts.cache = &cache;
  parts.gate_entries = &gate_entries;
  parts.pages = &pages;
  parts.scheduler = &scheduler;
  parts.admission = &admission;
  parts.inbox = inbox.get();
  parts.executor = &executor;
  parts.observer = observer;
  parts.slow_reader_timeout = options.slow_reader_timeout;
  loop = std::make_unique<EngineLoop>(parts);
  thread = std::thread([this] {
    executor.BindThisThread();
    loop->Run();
  });
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
  const DType dtype =
      options.dtype == "float32" ? DType::kFloat32 : DType::kBFloat16;
  SEER_ASSIGN_OR_RETURN(const ModelConfig config,
                        LoadModelConfig(options.model_dir));
  if (tokenizer->vocab_size() > config.vocab_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tokenizer has ", tokenizer->vocab_size(),
                     " ids, the model only ", config.vocab_size));
  }
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<const WeightFiles> files,
                        WeightFiles::Open(options.model_dir, config));
  SEER_RETURN_IF_ERROR(files->CheckFinite());
  SEER_ASSIGN_OR_RETURN(KvCache cache, AllocateCache(options, config, dtype));
  auto rooms =
      std::make_unique<Rooms>(options, tokenizer, config, std::move(cache));
  rooms->executor.BindThisThread();
  SEER_ASSIGN_OR_RETURN(
      rooms->model, LlamaModel::Load(config, *files, dtype, &rooms->executor));
  rooms->info.fingerprint = Fingerprint(config, *files);
  SEER_RETURN_IF_ERROR(rooms->LoadGates(GateShapeOf(config, dtype)));
  rooms->StartThread(observer);
  return std::unique_ptr<LlamaEngine>(new LlamaEngine(std::move(rooms)));
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
  SEER_ASSIGN_OR_RETURN(init.policy,
                        rooms_->policies->Resolve(request.policy, prompt_len));
  absl::StatusOr<std::shared_ptr<const StopStrings>> stop_strings =
      StopStrings::Make(request.stop_strings);
  if (!stop_strings.ok()) {
    return InvalidField("stop_strings", stop_strings.status().message());
  }
  init.stop_strings = *std::move(stop_strings);
  SEER_ASSIGN_OR_RETURN(init.place, rooms_->admission.Enter(prompt_len));

  EventStreamEnds ends = MakeEventStream(
      rooms_->options.event_stream, [inbox = rooms_->inbox] { inbox->Wake(); });
  ends.outbox.Push(AcceptedEvent{init.place.queue_position()});
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

std::vector<GateSetInfo> LlamaEngine::gate_sets() const {
  std::vector<GateSetInfo> infos;
  for (const std::shared_ptr<const GateSet>& set :
       rooms_->policies->gate_sets()) {
    GateSetInfo info;
    info.name = set->name;
    info.design = set->gate->design();
    info.version = set->version;
    info.has_profile = set->profile.has_value();
    info.stable = set == rooms_->policies->stable();
    infos.push_back(std::move(info));
  }
  return infos;
}

EngineStats LlamaEngine::Stats() const {
  EngineStats stats = rooms_->loop->Stats();
  const Admission::Load load = rooms_->admission.load();
  stats.requests_waiting = load.waiting_requests;
  stats.waiting_tokens = load.backlog_tokens;
  stats.predicted_queue_delay = load.predicted_queue_delay;
  stats.pages_total = rooms_->cache.shape().num_pages;
  stats.healthy = rooms_->inbox->healthy();
  stats.draining = rooms_->inbox->draining();
  stats.weight_bytes = rooms_->model->weight_bytes();
  stats.kv_cache_bytes = static_cast<int64_t>(rooms_->cache.num_bytes());
  return stats;
}

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
