#include "client/flags/grid_flags.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {

void GridFlags::AddTo(FlagSet* flags) {
  flags->Group("Grid (values separated by commas; dense is always measured)");
  flags->Add("lengths", &lengths_, "N,...", "tokens of a prompt; default 8192");
  flags->Add("densities", &densities_, "D,...",
             "shares of the visible blocks to read, in (0, 1]; default "
             "0.5,0.2,0.1");
  flags->Add("gates", &gates_, "GATE,...",
             "mean_pool, stable, canary, gate sets' names, and, where the "
             "server allows them, oracle_max and oracle_mass; default "
             "mean_pool");
  flags->Add("allocations", &allocations_, "A,...",
             "uniform, profiled; default both, profiled only for gates that "
             "have a profile");
  flags->Add("sink_blocks", &sink_blocks_, "N",
             "always read the first N blocks; default the server's");
  flags->Add("dense_last_blocks", &dense_last_blocks_, "N",
             "read everything for the last N tiles; default the server's");
  flags->Group("Run");
  flags->Add("concurrency", &concurrency_, "N",
             "requests in flight, 1 to 256; default 4");
  flags->Add("json_file", &json_file_, "PATH",
             "write what --json prints to this file");
}

absl::StatusOr<PolicyAxes> GridFlags::Axes() const {
  for (const int64_t length : lengths_.values) {
    if (length < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("a length must be at least 2, is ", length));
    }
  }
  if (concurrency_ < 1 || concurrency_ > 256) {
    return absl::InvalidArgumentError("--concurrency must be in [1, 256]");
  }
  PolicyAxes axes;
  axes.densities = densities_.values;
  axes.gates = gates_.values;
  axes.allocations = allocations_.values;
  axes.sink_blocks = sink_blocks_;
  axes.dense_last_blocks = dense_last_blocks_;
  SEER_RETURN_IF_ERROR(axes.Validate());
  return axes;
}

}  // namespace seer
