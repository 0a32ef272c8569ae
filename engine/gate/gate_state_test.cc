#include "engine/gate/gate_state.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/device/cpu_device.h"
#include "engine/gate/attn_gate.h"
#include "engine/gate/gate_design.h"
#include "engine/gate/gate_set.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"

namespace seer {
namespace {

constexpr GateShape kShape = {/*num_layers=*/3, /*num_query_heads=*/4,
                              /*num_kv_heads=*/2, /*head_dim=*/16,
                              DType::kBFloat16};
constexpr size_t kSquare = 16 * 16 * 2;  // bytes of [D, D]

std::vector<uint8_t> Numbered(size_t size, int first) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = first + 13 * i;
  return bytes;
}

// A gate of a design with one or two projections, each layer's different.
AttnGate MakeGate(const GateDesign& design, bool force_q = false) {
  const bool has_q = force_q || design.query_pools.size() > 1;
  std::vector<AttnGateWeights> layers;
  for (int l = 0; l < kShape.num_layers; ++l) {
    const size_t q_bytes =
        has_q ? 4 * design.query_pools.size() * kSquare : size_t{0};
    const size_t k_bytes = (has_q ? 2 : 4) * design.key_pools.size() * kSquare;
    layers.push_back({Numbered(q_bytes, l), Numbered(k_bytes, 100 + l)});
  }
  return AttnGate(kShape, design, std::move(layers));
}

AttnGate MakeGate(const char* name) { return MakeGate(*ParseGateDesign(name)); }

bool SameBytes(const void* a, const void* b, size_t size) {
  return a != b && std::memcmp(a, b, size) == 0;
}

TEST(GateStateTest, OnTheHostTheWeightsAreTheGatesOwn) {
  const AttnGate gate = MakeGate("Qmaxmin_Kavg");
  CpuDevice device(nullptr);
  const auto state = GateState::Create(gate, kShape, 10, &device);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->layer(1).linear_q, gate.layer(1).linear_q);
  EXPECT_EQ(state->layer(2).linear_k, gate.layer(2).linear_k);
  EXPECT_EQ(state->num_bytes(),
            10 * GateState::EntryBytesPerPage(gate, kShape));
}

TEST(GateStateTest, ADeviceGetsACopyOfEveryWeight) {
  for (const char* design : {"Qmaxmin_Kavg", "Qavg_Kmaxminavg"}) {
    const AttnGate gate = MakeGate(design);
    SplitDevice device(nullptr);
    const auto state = GateState::Create(gate, kShape, 10, &device);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ(state->num_entry_heads(), gate.num_entry_heads());
    EXPECT_EQ(state->num_bytes(),
              10 * GateState::EntryBytesPerPage(gate, kShape) +
                  GateState::WeightBytes(gate, kShape));
    for (int32_t l = 0; l < kShape.num_layers; ++l) {
      const GateLayer mine = state->layer(l);
      const GateLayer its = gate.layer(l);
      const bool has_q = its.linear_q != nullptr;
      EXPECT_EQ(mine.key_pools.size(), its.key_pools.size());
      EXPECT_EQ(mine.linear_q != nullptr, has_q);
      if (has_q) {
        EXPECT_TRUE(SameBytes(mine.linear_q, its.linear_q, 4 * 2 * kSquare));
      }
      EXPECT_TRUE(SameBytes(mine.linear_k, its.linear_k,
                            (has_q ? 2 * 1 : 4 * 3) * kSquare));
    }
  }
}

TEST(GateStateTest, LayersOfEntriesDoNotOverlap) {
  const auto set = BuiltinMeanPool(kShape);
  CpuDevice device(nullptr);
  const auto state = GateState::Create(*set->gate, kShape, 5, &device);
  ASSERT_TRUE(state.ok()) << state.status();
  const size_t layer_bytes = 5 * 2 * 16 * 2;  // pages, Hk, D, bf16
  EXPECT_EQ(state->num_bytes(), 3 * layer_bytes);
  for (int32_t l = 0; l < 3; ++l) {
    std::memset(state->entries(l), l + 1, layer_bytes);
  }
  for (int32_t l = 0; l < 3; ++l) {
    const auto* bytes = static_cast<const uint8_t*>(state->entries(l));
    EXPECT_EQ(std::count(bytes, bytes + layer_bytes, l + 1),
              static_cast<int64_t>(layer_bytes));
  }
}

TEST(GateStateTest, TheLargestMemoryHoldsEveryDesignAndNoMore) {
  size_t entries =
      GateState::EntryBytesPerPage(*BuiltinMeanPool(kShape)->gate, kShape);
  size_t weights = 0;
  for (const GateDesign& design : AllGateDesigns()) {
    for (const bool force_q : {false, true}) {
      const AttnGate gate = MakeGate(design, force_q);
      entries = std::max(entries, GateState::EntryBytesPerPage(gate, kShape));
      weights = std::max(weights, GateState::WeightBytes(gate, kShape));
    }
  }
  EXPECT_EQ(GateState::LargestEntryBytesPerPage(kShape), entries);
  EXPECT_EQ(GateState::LargestWeightBytes(kShape), weights);
}

TEST(GateStateTest, MemoryServesOneGateAfterAnother) {
  SplitDevice device(nullptr);
  auto memory = GateMemory::AllocateLargest(kShape, 10, &device);
  ASSERT_TRUE(memory.ok()) << memory.status();
  const size_t num_bytes = memory->num_bytes();
  for (const char* design : {"Qmaxminavg_Kmaxminavg", "Qavg_Kavg"}) {
    const AttnGate gate = MakeGate(design);
    auto state =
        GateState::CreateIn(*std::move(memory), gate, kShape, 10, &device);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ(state->num_bytes(), num_bytes);
    EXPECT_TRUE(
        SameBytes(state->layer(2).linear_k, gate.layer(2).linear_k, kSquare));
    memory = state->TakeMemory();
  }
}

}  // namespace
}  // namespace seer
