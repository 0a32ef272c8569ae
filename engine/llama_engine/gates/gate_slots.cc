#include "engine/llama_engine/gates/gate_slots.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

constexpr char kGateSetType[] = "seer.v1.GateSet";

absl::Status NotInstalled(const std::string& name) {
  return WithResource(
      absl::NotFoundError(absl::StrCat("gate set ", name, " is not installed")),
      kGateSetType, name);
}

// The set of this name; null for "".
absl::StatusOr<InstalledGateSetPtr> FindRouted(const GateTable& table,
                                               const std::string& name) {
  if (name.empty()) return InstalledGateSetPtr();
  InstalledGateSetPtr found = table.FindByName(name);
  if (found == nullptr) return NotInstalled(name);
  return found;
}

std::string NameOf(const InstalledGateSetPtr& set) {
  return set == nullptr ? std::string() : set->set->name;
}

absl::Status NoSlot(int64_t num_slots, int64_t num_wanted) {
  return WithReason(absl::ResourceExhaustedError(absl::StrCat(
                        "all ", num_slots,
                        " slots for gate sets are taken, some maybe by running "
                        "requests whose gate set was removed")),
                    {"GATE_SLOTS", num_slots, num_wanted});
}

// Of two sets with one name, which has few digits of the version.
absl::Status CheckSame(const GateSet& there, const GateSet& other) {
  if (there.version == other.version) return absl::OkStatus();
  return WithResource(absl::FailedPreconditionError(absl::StrCat(
                          "another file's gate set has the name ", there.name)),
                      kGateSetType, there.name);
}

absl::Status CheckRouting(const GateRouting& routing) {
  if (!(routing.canary_fraction >= 0 && routing.canary_fraction <= 1)) {
    return InvalidField(
        "canary_fraction",
        absl::StrCat("must be 0 to 1, is ", routing.canary_fraction));
  }
  if (routing.canary.empty() && routing.canary_fraction > 0) {
    return InvalidField("canary_fraction", "must be 0 without a canary");
  }
  if (!routing.canary.empty() && routing.canary == routing.stable) {
    return InvalidField("canary", "must not be the stable gate set");
  }
  return absl::OkStatus();
}

}  // namespace

int64_t GateSlots::BytesPerPage(const GateShape& shape, int32_t num_slots) {
  return static_cast<int64_t>(
      GateState::EntryBytesPerPage(*BuiltinMeanPool(shape)->gate, shape) +
      num_slots * GateState::LargestEntryBytesPerPage(shape));
}

int64_t GateSlots::WeightBytes(const GateShape& shape, int32_t num_slots) {
  return static_cast<int64_t>(num_slots * GateState::LargestWeightBytes(shape));
}

absl::StatusOr<std::unique_ptr<GateSlots>> GateSlots::Create(
    const Options& options) {
  std::unique_ptr<GateSlots> slots(new GateSlots(options));
  auto mean_pool = std::make_shared<InstalledGateSet>();
  mean_pool->set = BuiltinMeanPool(options.shape);
  SEER_ASSIGN_OR_RETURN(mean_pool->state,
                        GateState::Create(*mean_pool->set->gate, options.shape,
                                          options.num_pages, options.device));
  std::vector<GateMemory> free;
  size_t num_bytes = mean_pool->state.num_bytes();
  if (!options.device->shares_host_memory()) {
    for (int32_t i = 0; i < options.num_slots; ++i) {
      SEER_ASSIGN_OR_RETURN(
          GateMemory memory,
          GateMemory::AllocateLargest(options.shape, options.num_pages,
                                      options.device));
      num_bytes += memory.num_bytes();
      free.push_back(std::move(memory));
    }
  }
  auto table = std::make_shared<GateTable>();
  table->mean_pool = std::move(mean_pool);
  MutexLock lock(&slots->mutex_);
  slots->free_ = std::move(free);
  slots->num_bytes_ = static_cast<int64_t>(num_bytes);
  slots->table_ = std::move(table);
  return slots;
}

std::shared_ptr<const GateTable> GateSlots::table() const {
  MutexLock lock(&mutex_);
  return table_;
}

void GateSlots::FreeSlot(GateMemory memory) {
  MutexLock lock(&mutex_);
  --num_taken_;
  if (options_.device->shares_host_memory()) {
    num_bytes_ -= static_cast<int64_t>(memory.num_bytes());
  } else {
    free_.push_back(std::move(memory));
  }
}

InstalledGateSetPtr GateSlots::Hold(std::shared_ptr<const GateSet> set,
                                    GateState state) {
  auto* const installed =
      new InstalledGateSet{std::move(set), std::move(state)};
  return InstalledGateSetPtr(
      installed, [this, installed](const InstalledGateSet*) {
        GateMemory memory = installed->state.TakeMemory();
        delete installed;
        FreeSlot(std::move(memory));
      });
}

absl::Status GateSlots::Install(std::shared_ptr<const GateSet> set) {
  GateMemory memory;
  {
    MutexLock lock(&mutex_);
    const InstalledGateSetPtr there = table_->FindByName(set->name);
    if (there != nullptr) return CheckSame(*there->set, *set);
    if (num_taken_ >= options_.num_slots) {
      return NoSlot(options_.num_slots, int64_t{num_taken_} + 1);
    }
    ++num_taken_;
    if (!free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    }
  }
  const bool on_host = options_.device->shares_host_memory();
  absl::StatusOr<GateState> state =
      on_host
          ? GateState::Create(*set->gate, options_.shape, options_.num_pages,
                              options_.device)
          : GateState::CreateIn(std::move(memory), *set->gate, options_.shape,
                                options_.num_pages, options_.device);
  if (!state.ok()) {
    // A device that cannot copy is of no further use, nor is the slot.
    if (on_host) FreeSlot(GateMemory());
    return state.status();
  }
  const size_t num_bytes = state->num_bytes();
  const InstalledGateSetPtr installed = Hold(std::move(set), *std::move(state));
  std::shared_ptr<const GateTable> before;
  MutexLock lock(&mutex_);
  if (on_host) num_bytes_ += static_cast<int64_t>(num_bytes);
  GateTable next = *table_;
  next.sets.push_back(installed);
  before = Replace(std::move(next));
  return absl::OkStatus();
}

absl::Status GateSlots::Remove(const std::string& name) {
  std::shared_ptr<const GateTable> before;
  MutexLock lock(&mutex_);
  const InstalledGateSetPtr removed = table_->FindByName(name);
  if (removed == nullptr) return NotInstalled(name);
  if (removed == table_->stable || removed == table_->canary) {
    return WithReason(
        WithResource(
            absl::FailedPreconditionError(absl::StrCat(
                "requests are routed to gate set ", name, " as the ",
                removed == table_->stable ? "stable" : "canary", " one")),
            kGateSetType, name),
        {"IN_USE", std::nullopt, std::nullopt});
  }
  GateTable next = *table_;
  next.sets.erase(std::find(next.sets.begin(), next.sets.end(), removed));
  before = Replace(std::move(next));
  return absl::OkStatus();
}

absl::Status GateSlots::SetRouting(const GateRouting& routing) {
  SEER_RETURN_IF_ERROR(CheckRouting(routing));
  std::shared_ptr<const GateTable> before;
  MutexLock lock(&mutex_);
  GateTable next = *table_;
  SEER_ASSIGN_OR_RETURN(next.stable, FindRouted(*table_, routing.stable));
  SEER_ASSIGN_OR_RETURN(next.canary, FindRouted(*table_, routing.canary));
  next.canary_fraction = routing.canary_fraction;
  before = Replace(std::move(next));
  return absl::OkStatus();
}

std::shared_ptr<const GateTable> GateSlots::Replace(GateTable next) {
  std::shared_ptr<const GateTable> before =
      std::make_shared<const GateTable>(std::move(next));
  table_.swap(before);
  return before;
}

GateRouting GateSlots::routing() const {
  const std::shared_ptr<const GateTable> now = table();
  return {NameOf(now->stable), NameOf(now->canary), now->canary_fraction};
}

int64_t GateSlots::num_bytes() const {
  MutexLock lock(&mutex_);
  return num_bytes_;
}

}  // namespace seer
