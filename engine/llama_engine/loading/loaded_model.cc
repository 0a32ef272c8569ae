#include "engine/llama_engine/loading/loaded_model.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/hash/sha256.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/device/open_device.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/gates/gate_shape.h"
#include "engine/llama_engine/loading/memory_plan.h"
#include "engine/weights/fingerprint.h"
#include "engine/weights/weight_files.h"

namespace seer {
namespace {

// Of random weights.
constexpr uint64_t kDummySeed = 1;

DType DTypeOf(const LlamaEngineOptions& options) {
  return options.dtype == "float32" ? DType::kFloat32 : DType::kBFloat16;
}

KvCacheShape CacheShapeOf(const ModelConfig& config, DType dtype) {
  KvCacheShape shape;
  shape.num_layers = config.num_layers;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.dtype = dtype;
  return shape;
}

// Pages of a cache in the host's memory, which is taken up as it is used.
absl::StatusOr<int64_t> HostPages(const LlamaEngineOptions& options,
                                  const ModelConfig& config) {
  const int64_t bytes_per_page = static_cast<int64_t>(
      BytesPerPage(CacheShapeOf(config, DTypeOf(options))));
  const int64_t num_pages =
      std::min<int64_t>(options.kv_cache_bytes / bytes_per_page,
                        std::numeric_limits<PageId>::max());
  if (num_pages < 1) {
    return absl::ResourceExhaustedError(
        absl::StrCat("kv_cache_bytes is ", options.kv_cache_bytes,
                     "; one page takes ", bytes_per_page));
  }
  return num_pages;
}

absl::Status LoadWeights(const LlamaEngineOptions& options,
                         const ModelConfig& config, LoadedModel* loaded) {
  const DType dtype = DTypeOf(options);
  LlamaModelOptions model_options;
  model_options.replay_decode_steps = options.replay_decode_steps;
  if (options.load_format == "dummy") {
    const std::string identity =
        absl::StrCat(FingerprintConfigLines(config), "dummy=", kDummySeed);
    loaded->gate_target.fingerprint = Sha256Hex(
        {reinterpret_cast<const uint8_t*>(identity.data()), identity.size()});
    SEER_ASSIGN_OR_RETURN(
        loaded->model,
        LlamaModel::MakeRandom(config, kDummySeed, dtype, loaded->device.get(),
                               model_options));
    return absl::OkStatus();
  }
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<const WeightFiles> files,
                        WeightFiles::Open(options.model_dir, config));
  SEER_RETURN_IF_ERROR(files->CheckFinite());
  SEER_ASSIGN_OR_RETURN(loaded->model,
                        LlamaModel::Load(config, *files, dtype,
                                         loaded->device.get(), model_options));
  loaded->gate_target.fingerprint = Fingerprint(config, *files);
  return absl::OkStatus();
}

// The gate set that is stable from the start; null: none.
absl::StatusOr<std::shared_ptr<const GateSet>> LoadStable(
    const LlamaEngineOptions& options, const GateSetTarget& target) {
  const std::string& path = options.gate_set_file;
  if (path.empty()) return std::shared_ptr<const GateSet>();
  absl::StatusOr<std::shared_ptr<const GateSet>> set =
      LoadGateSet(path, target);
  if (set.ok()) return set;
  return absl::Status(set.status().code(),
                      absl::StrCat(path, ": ", set.status().message()));
}

// Pages of a cache that shares the device's memory with everything else.
absl::StatusOr<int64_t> DevicePages(const LlamaEngineOptions& options,
                                    LoadedModel* loaded) {
  const LlamaModel& model = *loaded->model;
  const GateShape& gate_shape = loaded->gate_target.shape;
  MemoryNeeds needs;
  SEER_ASSIGN_OR_RETURN(needs.free_bytes, loaded->device->FreeBytes());
  needs.kv_fraction = options.kv_memory_fraction;
  needs.bytes_per_page = static_cast<int64_t>(
      BytesPerPage(CacheShapeOf(model.config(), model.dtype())));
  needs.step_bytes = model.StepBytes(options.scheduler.max_step_tokens,
                                     options.scheduler.max_running);
  needs.bytes_per_page +=
      GateSlots::BytesPerPage(gate_shape, options.gate_slots);
  needs.free_bytes -= GateSlots::WeightBytes(gate_shape, options.gate_slots);
  if (options.policy.allow_oracle_gates) {
    needs.step_bytes += model.OracleBytes();
  }
  loaded->step_bytes = needs.step_bytes;
  SEER_ASSIGN_OR_RETURN(const MemoryPlan plan, PlanMemory(needs));
  return plan.num_pages;
}

absl::Status AllocatePages(const LlamaEngineOptions& options, int64_t num_pages,
                           LoadedModel* loaded) {
  const LlamaModel& model = *loaded->model;
  KvCacheShape shape = CacheShapeOf(model.config(), model.dtype());
  shape.num_pages = num_pages;
  SEER_ASSIGN_OR_RETURN(loaded->cache,
                        KvCache::Allocate(shape, loaded->device.get()));
  GateSlots::Options slots;
  slots.shape = loaded->gate_target.shape;
  slots.num_pages = num_pages;
  slots.num_slots = options.gate_slots;
  slots.device = loaded->device.get();
  SEER_ASSIGN_OR_RETURN(loaded->gates, GateSlots::Create(slots));
  return loaded->device->Synchronize();
}

}  // namespace

absl::StatusOr<LoadedModel> LoadModel(const LlamaEngineOptions& options,
                                      const ModelConfig& config) {
  LoadedModel loaded;
  loaded.executor = std::make_unique<AtenExecutor>(options.num_threads);
  SEER_ASSIGN_OR_RETURN(loaded.device,
                        OpenDevice(options.device, loaded.executor.get()));
  loaded.executor->BindThisThread();
  int64_t num_pages = 0;
  if (loaded.device->shares_host_memory()) {
    SEER_ASSIGN_OR_RETURN(num_pages, HostPages(options, config));
  }
  SEER_RETURN_IF_ERROR(LoadWeights(options, config, &loaded));
  loaded.gate_target.shape = GateShapeOf(*loaded.model);
  loaded.gate_target.model_id = options.model_id;
  loaded.gate_target.allow_oracle_gates = options.policy.allow_oracle_gates;
  SEER_ASSIGN_OR_RETURN(const std::shared_ptr<const GateSet> stable,
                        LoadStable(options, loaded.gate_target));
  if (!loaded.device->shares_host_memory()) {
    SEER_ASSIGN_OR_RETURN(num_pages, DevicePages(options, &loaded));
  }
  SEER_RETURN_IF_ERROR(AllocatePages(options, num_pages, &loaded));
  if (stable != nullptr) {
    SEER_RETURN_IF_ERROR(loaded.gates->Install(stable));
    SEER_RETURN_IF_ERROR(loaded.gates->SetRouting({stable->name, "", 0.0}));
  }
  Log(LogLevel::kInfo, "memory",
      {{"device", loaded.device->name()},
       {"weight_bytes", loaded.model->weight_bytes()},
       {"pages", num_pages},
       {"kv_cache_bytes", loaded.cache.num_bytes()},
       {"gate_bytes", loaded.gates->num_bytes()},
       {"step_bytes", loaded.step_bytes}});
  return loaded;
}

}  // namespace seer
