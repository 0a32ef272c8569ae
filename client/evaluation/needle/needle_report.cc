#include "client/evaluation/needle/needle_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/connection/error_details.h"

namespace seer {
namespace {

// How many cells, from the first on, differ only in depth.
size_t NumDepths(const NeedleReport& report) {
  size_t count = 0;
  while (count < report.cells.size() &&
         report.cells[count].policy == report.cells[0].policy &&
         report.cells[count].length == report.cells[0].length) {
    ++count;
  }
  return count;
}

double RealizedDensity(const NeedleCell& cell) {
  return static_cast<double>(cell.blocks_selected) / cell.blocks_visible;
}

Json CellJson(const NeedleReport& report, const NeedleCell& cell) {
  const GridPolicy& policy = report.policies[cell.policy];
  Json json = {{"length", cell.length},
               {"depth", cell.depth},
               {"gate", policy.gate},
               {"allocation", policy.allocation},
               {"density", policy.density}};
  if (!cell.status.ok()) {
    json.update(ErrorJson(cell.status));
    return json;
  }
  json["realized_density"] = RealizedDensity(cell);
  json["density_missed"] = MissesTarget(policy.density, RealizedDensity(cell));
  json["trials"] = cell.num_trials;
  json["right"] = cell.num_right;
  json["mean_rank"] = static_cast<double>(cell.rank_sum) / cell.num_trials;
  return json;
}

}  // namespace

std::string NeedleTable(const NeedleReport& report) {
  const size_t num_depths = NumDepths(report);
  size_t line_width = 6;
  for (const GridPolicy& policy : report.policies) {
    line_width = std::max(line_width, policy.Line().size());
  }
  std::string table = absl::StrFormat(
      "share of right answers among %d, by depth\n%7s  %-*s "
      "%7s %8s",
      report.num_candidates, "length", line_width, "policy", "density",
      "realized");
  for (size_t i = 0; i < num_depths; ++i) {
    absl::StrAppendFormat(&table, " %7.2f", report.cells[i].depth);
  }
  table += "\n";
  for (size_t row = 0; row < report.cells.size(); row += num_depths) {
    const NeedleCell& first = report.cells[row];
    const GridPolicy& policy = report.policies[first.policy];
    absl::StrAppendFormat(&table, "%7d  %-*s %7.3f", first.length, line_width,
                          policy.Line(), policy.density);
    absl::Status status;
    NeedleCell sums;
    std::string shares;
    for (size_t i = row; i < row + num_depths; ++i) {
      const NeedleCell& cell = report.cells[i];
      status.Update(cell.status);
      sums.blocks_visible += cell.blocks_visible;
      sums.blocks_selected += cell.blocks_selected;
      shares +=
          cell.status.ok()
              ? absl::StrFormat(" %7.2f", static_cast<double>(cell.num_right) /
                                              cell.num_trials)
              : absl::StrFormat(" %7s", "failed");
    }
    absl::StrAppendFormat(&table, " %8.4f%s", RealizedDensity(sums), shares);
    if (!status.ok()) {
      absl::StrAppend(&table, "  ", DescribeError(status));
    } else if (MissesTarget(policy.density, RealizedDensity(sums))) {
      table += "  density missed";
    }
    table += "\n";
  }
  for (const std::string& what : report.left_out) {
    absl::StrAppend(&table, "left out: ", what, "\n");
  }
  return table;
}

Json NeedleJson(const NeedleReport& report) {
  Json cells = Json::array();
  int num_failed = 0;
  for (const NeedleCell& cell : report.cells) {
    cells.push_back(CellJson(report, cell));
    if (!cell.status.ok()) ++num_failed;
  }
  return {{"num_candidates", report.num_candidates},
          {"cells", cells},
          {"left_out", report.left_out},
          {"num_failed", num_failed}};
}

}  // namespace seer
