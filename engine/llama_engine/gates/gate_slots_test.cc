#include "engine/llama_engine/gates/gate_slots.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/device/cpu_device.h"
#include "engine/errors.h"
#include "engine/gate/attn_gate.h"
#include "engine/gate/gate_design.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/split_device.h"

namespace seer {
namespace {

constexpr GateShape kShape = {/*num_layers=*/2, /*num_query_heads=*/4,
                              /*num_kv_heads=*/2, /*head_dim=*/16,
                              DType::kFloat32};
constexpr size_t kWeightBytes = 4 * 16 * 16 * sizeof(float);

// Of one key pool, every byte of its weights `fill`.
std::shared_ptr<const GateSet> MakeSet(const std::string& name, uint8_t fill) {
  auto set = std::make_shared<GateSet>();
  set->name = name;
  set->version = absl::StrCat("digest of ", name);
  const AttnGateWeights layer = {{}, std::vector<uint8_t>(kWeightBytes, fill)};
  set->gate = std::make_unique<AttnGate>(
      kShape, *ParseGateDesign("Qavg_Kavg"),
      std::vector<AttnGateWeights>(kShape.num_layers, layer));
  return set;
}

bool HasWeights(const InstalledGateSet& installed, uint8_t fill) {
  for (int32_t l = 0; l < kShape.num_layers; ++l) {
    const auto* bytes =
        static_cast<const uint8_t*>(installed.state.layer(l).linear_k);
    if (std::count(bytes, bytes + kWeightBytes, fill) != kWeightBytes) {
      return false;
    }
  }
  return true;
}

class GateSlotsTest : public testing::TestWithParam<bool> {
 protected:
  GateSlotsTest() {
    if (GetParam()) {
      device_ = std::make_unique<SplitDevice>(nullptr);
    } else {
      device_ = std::make_unique<CpuDevice>(nullptr);
    }
  }

  std::unique_ptr<GateSlots> Make(int32_t num_slots) {
    auto slots = GateSlots::Create({kShape, 10, num_slots, device_.get()});
    EXPECT_TRUE(slots.ok()) << slots.status();
    return *std::move(slots);
  }

  std::unique_ptr<Device> device_;
};

TEST_P(GateSlotsTest, TablesAreSnapshots) {
  const auto slots = Make(2);
  const auto before = slots->table();
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  EXPECT_TRUE(before->sets.empty());
  const auto installed = slots->table();
  ASSERT_EQ(installed->sets.size(), 1u);
  EXPECT_TRUE(HasWeights(*installed->sets[0], 1));
  EXPECT_EQ(installed->stable, nullptr);
  ASSERT_TRUE(slots->SetRouting({"a", "", 0.0}).ok());
  EXPECT_EQ(installed->stable, nullptr);
  EXPECT_EQ(slots->table()->stable, installed->sets[0]);
  EXPECT_EQ(slots->table()->mean_pool, before->mean_pool);
  EXPECT_EQ(slots->routing().stable, "a");
}

TEST_P(GateSlotsTest, ASlotIsFreeOnceTheLastHolderIsGone) {
  const auto slots = Make(2);
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  const int64_t bytes_with_one = slots->num_bytes();
  ASSERT_TRUE(slots->Install(MakeSet("b", 2)).ok());
  const int64_t bytes_with_two = slots->num_bytes();
  // A request that runs under it.
  InstalledGateSetPtr held = slots->table()->FindByName("a");
  ASSERT_TRUE(slots->Remove("a").ok());
  EXPECT_EQ(slots->table()->FindByName("a"), nullptr);
  EXPECT_EQ(slots->Remove("a").code(), absl::StatusCode::kNotFound);
  const absl::Status full = slots->Install(MakeSet("c", 3));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ReasonOf(full).has_value());
  EXPECT_EQ(ReasonOf(full)->reason, "GATE_SLOTS");
  EXPECT_EQ(ReasonOf(full)->limit, 2);
  EXPECT_EQ(ReasonOf(full)->got, 3);
  EXPECT_TRUE(HasWeights(*held, 1));
  EXPECT_EQ(slots->num_bytes(), bytes_with_two);
  held.reset();
  const bool set_aside = !device_->shares_host_memory();
  EXPECT_EQ(slots->num_bytes(), set_aside ? bytes_with_two : bytes_with_one);
  EXPECT_EQ(bytes_with_two == bytes_with_one, set_aside);
  ASSERT_TRUE(slots->Install(MakeSet("c", 3)).ok());
  EXPECT_TRUE(HasWeights(*slots->table()->FindByName("b"), 2));
  EXPECT_TRUE(HasWeights(*slots->table()->FindByName("c"), 3));
}

TEST_P(GateSlotsTest, TheMemoryPlanCountsWhatIsTaken) {
  if (device_->shares_host_memory()) {
    GTEST_SKIP() << "the host's memory is not planned";
  }
  const auto slots = Make(3);
  EXPECT_EQ(slots->num_bytes(), 10 * GateSlots::BytesPerPage(kShape, 3) +
                                    GateSlots::WeightBytes(kShape, 3));
  EXPECT_EQ(Make(0)->num_bytes(), 10 * GateSlots::BytesPerPage(kShape, 0));
}

TEST_P(GateSlotsTest, ANameIsOneFiles) {
  const auto slots = Make(2);
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  auto other = std::make_shared<GateSet>();
  other->name = "a";
  other->version = "another digest";
  EXPECT_EQ(slots->Install(other).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_P(GateSlotsTest, WhatIsRoutedToStays) {
  const auto slots = Make(2);
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  ASSERT_TRUE(slots->Install(MakeSet("b", 2)).ok());
  ASSERT_TRUE(slots->SetRouting({"a", "b", 0.5}).ok());
  for (const char* name : {"a", "b"}) {
    const absl::Status status = slots->Remove(name);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(status)->reason, "IN_USE");
  }
  ASSERT_TRUE(slots->SetRouting({"b", "", 0.0}).ok());
  EXPECT_TRUE(slots->Remove("a").ok());
  ASSERT_TRUE(slots->SetRouting({}).ok());
  EXPECT_TRUE(slots->Remove("b").ok());
}

TEST_P(GateSlotsTest, ABadRoutingChangesNothing) {
  const auto slots = Make(2);
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  ASSERT_TRUE(slots->Install(MakeSet("b", 2)).ok());
  ASSERT_TRUE(slots->SetRouting({"a", "b", 0.25}).ok());
  struct Case {
    GateRouting routing;
    absl::StatusCode code;
    const char* field;
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto kNotFound = absl::StatusCode::kNotFound;
  for (const Case& c : std::vector<Case>{
           {{"a", "b", 1.5}, kInvalid, "canary_fraction"},
           {{"a", "b", -0.1}, kInvalid, "canary_fraction"},
           {{"a", "b", std::nan("")}, kInvalid, "canary_fraction"},
           {{"a", "", 0.5}, kInvalid, "canary_fraction"},
           {{"a", "a", 0.5}, kInvalid, "canary"},
           {{"c", "b", 0.5}, kNotFound, ""},
           {{"a", "c", 0.5}, kNotFound, ""},
           {{"mean_pool", "", 0.0}, kNotFound, ""}}) {
    const absl::Status status = slots->SetRouting(c.routing);
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_EQ(FieldOf(status).value_or(""), c.field);
    EXPECT_EQ(ResourceOf(status).has_value(), c.code == kNotFound);
  }
  EXPECT_EQ(slots->routing().stable, "a");
  EXPECT_EQ(slots->routing().canary, "b");
  EXPECT_EQ(slots->routing().canary_fraction, 0.25);
}

TEST_P(GateSlotsTest, ReadersAlwaysSeeOneWholeRouting) {
  const auto slots = Make(3);
  ASSERT_TRUE(slots->Install(MakeSet("a", 1)).ok());
  ASSERT_TRUE(slots->Install(MakeSet("b", 2)).ok());
  ASSERT_TRUE(slots->SetRouting({"a", "b", 0.25}).ok());
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto table = slots->table();
        const bool first = table->stable->set->name == "a";
        EXPECT_EQ(table->canary->set->name, first ? "b" : "a");
        EXPECT_EQ(table->canary_fraction, first ? 0.25 : 0.75);
        // Maybe the last that holds it.
        const InstalledGateSetPtr passing = table->FindByName("c");
        EXPECT_TRUE(passing == nullptr || HasWeights(*passing, 3));
        EXPECT_GT(slots->num_bytes(), 0);
      }
    });
  }
  std::thread router([&] {
    for (int i = 0; i < 200; ++i) {
      EXPECT_TRUE(slots->SetRouting({"b", "a", 0.75}).ok());
      EXPECT_TRUE(slots->SetRouting({"a", "b", 0.25}).ok());
    }
  });
  for (int i = 0; i < 200; ++i) {
    const absl::Status status = slots->Install(MakeSet("c", 3));
    if (status.ok()) {
      EXPECT_TRUE(slots->Remove("c").ok());
    } else {  // a reader still holds the last one
      EXPECT_EQ(ReasonOf(status)->reason, "GATE_SLOTS");
    }
  }
  router.join();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_TRUE(slots->Install(MakeSet("c", 3)).ok());
}

INSTANTIATE_TEST_SUITE_P(Devices, GateSlotsTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "split" : "cpu";
                         });

}  // namespace
}  // namespace seer
