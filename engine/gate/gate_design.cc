#include "engine/gate/gate_design.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/gate/oracle.h"

namespace seer {
namespace {

std::string PoolNames(const PoolSet& pools) {
  return absl::StrCat(pools.max ? "max" : "", pools.min ? "min" : "",
                      pools.avg ? "avg" : "");
}

// False unless `text` is a non-empty subset in order.
bool ParsePools(absl::string_view text, PoolSet* pools) {
  pools->max = absl::ConsumePrefix(&text, "max");
  pools->min = absl::ConsumePrefix(&text, "min");
  pools->avg = absl::ConsumePrefix(&text, "avg");
  return text.empty() && pools->size() > 0;
}

}  // namespace

std::string GateDesign::Name() const {
  return absl::StrCat("Q", PoolNames(query_pools), "_K", PoolNames(key_pools));
}

absl::StatusOr<GateDesign> ParseGateDesign(absl::string_view name) {
  GateDesign design;
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '_');
  if (parts.size() == 2) {
    absl::string_view query = parts[0];
    absl::string_view key = parts[1];
    if (absl::ConsumePrefix(&query, "Q") && absl::ConsumePrefix(&key, "K") &&
        ParsePools(query, &design.query_pools) &&
        ParsePools(key, &design.key_pools)) {
      return design;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no gate design \"", name,
      "\": expected Q<pools>_K<pools>, pools a non-empty subset of max, min, "
      "avg in that order, or ",
      kMeanPoolDesign));
}

bool HasWeights(absl::string_view design) {
  return design != kMeanPoolDesign && OracleNamed(design) == Oracle::kNone;
}

std::vector<GateDesign> AllGateDesigns() {
  const auto subset = [](int bits) {
    PoolSet pools;
    pools.max = (bits & 1) != 0;
    pools.min = (bits & 2) != 0;
    pools.avg = (bits & 4) != 0;
    return pools;
  };
  std::vector<GateDesign> designs;
  for (int q = 1; q < 8; ++q) {
    for (int k = 1; k < 8; ++k) {
      designs.push_back(GateDesign{subset(q), subset(k)});
    }
  }
  return designs;
}

}  // namespace seer
