// What a measurement of many cells ends with.
#ifndef SEER_CLIENT_EVALUATION_CELL_FAILURE_H_
#define SEER_CLIENT_EVALUATION_CELL_FAILURE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace seer {

// OK; or the code of the first cell that failed, and how many did. A cell has
// an absl::Status `status`.
template <typename Cell>
absl::Status CellFailure(const std::vector<Cell>& cells) {
  absl::Status first;
  int num_failed = 0;
  for (const Cell& cell : cells) {
    first.Update(cell.status);
    if (!cell.status.ok()) ++num_failed;
  }
  if (first.ok()) return first;
  return absl::Status(
      first.code(),
      absl::StrCat(num_failed, " of ", cells.size(),
                   " cells failed, the first: ", first.message()));
}

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_CELL_FAILURE_H_
