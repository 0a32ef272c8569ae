#include "engine/gate/gate_design.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

TEST(GateDesignTest, FortyNineNamesThatParseBack) {
  std::set<std::string> names;
  for (const GateDesign& design : AllGateDesigns()) {
    const std::string name = design.Name();
    names.insert(name);
    const absl::StatusOr<GateDesign> parsed = ParseGateDesign(name);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->Name(), name);
  }
  EXPECT_EQ(names.size(), 49u);
}

TEST(GateDesignTest, ReadsPools) {
  const absl::StatusOr<GateDesign> design = ParseGateDesign("Qavg_Kmaxmin");
  ASSERT_TRUE(design.ok());
  EXPECT_FALSE(design->query_pools.max);
  EXPECT_TRUE(design->query_pools.avg);
  EXPECT_TRUE(design->key_pools.max);
  EXPECT_TRUE(design->key_pools.min);
  EXPECT_FALSE(design->key_pools.avg);
}

TEST(GateDesignTest, RefusesOtherTextAndNamesIt) {
  for (const char* text :
       {"", "Q_K", "Qavg", "Qavg_K", "Q_Kavg", "Qavgmax_Kmax", "qavg_kmax",
        "Qavg_Kmax_", "Qmaxmax_Kavg", "Qavg_Kmaxx", "Kavg_Qmax", "mean_pool"}) {
    const absl::StatusOr<GateDesign> design = ParseGateDesign(text);
    ASSERT_FALSE(design.ok()) << text;
    EXPECT_EQ(design.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(design.status().message()),
                HasSubstr(std::string("\"") + text + "\""));
  }
}

}  // namespace
}  // namespace seer
