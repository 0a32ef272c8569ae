// What commands that measure under many policies take.
#ifndef SEER_CLIENT_FLAGS_GRID_FLAGS_H_
#define SEER_CLIENT_FLAGS_GRID_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/evaluation/policy_grid.h"
#include "client/flags/flag_set.h"

namespace seer {

class GridFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // INVALID_ARGUMENT: values that are out of range, unknown or given twice;
  // also those of lengths() and concurrency().
  absl::StatusOr<PolicyAxes> Axes() const;

  const std::vector<int64_t>& lengths() const { return lengths_.values; }
  int concurrency() const { return concurrency_; }
  const std::string& json_file() const { return json_file_; }

 private:
  CommaList<int64_t> lengths_ = {{8192}};
  CommaList<double> densities_ = {{0.5, 0.2, 0.1}};
  CommaList<std::string> gates_ = {{"mean_pool"}};
  CommaList<std::string> allocations_ = {{"uniform", "profiled"}};
  std::optional<int32_t> sink_blocks_;
  std::optional<int32_t> dense_last_blocks_;
  int32_t concurrency_ = 4;
  std::string json_file_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_GRID_FLAGS_H_
