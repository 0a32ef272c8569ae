#include "client/evaluation/perplexity/perplexity_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/connection/error_details.h"
#include "client/output/line_plot.h"

namespace seer {
namespace {

// The dense cell of the same text and length.
const PerplexityCell& DenseOf(const PerplexityReport& report, size_t cell) {
  return report.cells[cell - report.cells[cell].policy];
}

// Relative difference of perplexity to the dense cell's; NaN where that failed.
double ToDense(const NllSum& sum, const PerplexityCell& dense,
               const NllSum& dense_sum) {
  if (!dense.status.ok()) return std::numeric_limits<double>::quiet_NaN();
  return sum.Perplexity() / dense_sum.Perplexity() - 1;
}

bool Misses(const PerplexityReport& report, const PerplexityCell& cell) {
  return MissesTarget(report.policies[cell.policy].density,
                      cell.sums.RealizedDensity());
}

// "+1.25 %"; "" for NaN.
std::string Percent(double share) {
  return std::isnan(share) ? "" : absl::StrFormat("%+.2f %%", 100 * share);
}

std::string Marks(const PerplexityReport& report, const PerplexityCell& cell) {
  std::string marks;
  if (Misses(report, cell)) marks += "  density missed";
  if (cell.sums.closest_feasible) marks += "  closest feasible";
  if (cell.sums.dense_fallback) marks += "  served dense";
  return marks;
}

Json QuarterJson(const NllSum& sum, double to_dense) {
  return {{"tokens_scored", sum.num_tokens},
          {"perplexity", sum.Perplexity()},
          {"relative_to_dense", to_dense}};
}

Json CellJson(const PerplexityReport& report, size_t index) {
  const PerplexityCell& cell = report.cells[index];
  const GridPolicy& policy = report.policies[cell.policy];
  Json json = {{"text", cell.text},
               {"length", cell.length},
               {"window_starts", cell.starts},
               {"gate", policy.gate},
               {"gate_version", cell.gate_version},
               {"allocation", policy.allocation},
               {"density", policy.density}};
  if (!cell.status.ok()) {
    json.update(ErrorJson(cell.status));
    return json;
  }
  const PerplexityCell& dense = DenseOf(report, index);
  const PerplexitySums& sums = cell.sums;
  json["realized_density"] = sums.RealizedDensity();
  json["realized_sparsity"] = 1 - sums.RealizedDensity();
  json["density_missed"] = Misses(report, cell);
  json["closest_feasible"] = sums.closest_feasible;
  json["dense_fallback"] = sums.dense_fallback;
  json["tokens_scored"] = sums.whole.num_tokens;
  json["nll_sum"] = sums.whole.nll;
  json["perplexity"] = sums.whole.Perplexity();
  json["relative_to_dense"] = ToDense(sums.whole, dense, dense.sums.whole);
  json["last_quarter"] =
      QuarterJson(sums.last_quarter,
                  ToDense(sums.last_quarter, dense, dense.sums.last_quarter));
  return json;
}

}  // namespace

std::string PerplexityTable(const PerplexityReport& report) {
  size_t text_width = 4;
  size_t line_width = 6;
  for (const PerplexityCell& cell : report.cells) {
    text_width = std::max(text_width, cell.text.size());
  }
  for (const GridPolicy& policy : report.policies) {
    line_width = std::max(line_width, policy.Line().size());
  }
  std::string table = absl::StrFormat(
      "%-*s %7s  %-*s %7s %8s %10s %10s %12s %10s\n", text_width, "text",
      "length", line_width, "policy", "density", "realized", "perplexity",
      "to dense", "last quarter", "to dense");
  for (size_t i = 0; i < report.cells.size(); ++i) {
    const PerplexityCell& cell = report.cells[i];
    const GridPolicy& policy = report.policies[cell.policy];
    absl::StrAppendFormat(&table, "%-*s %7d  %-*s %7.3f ", text_width,
                          cell.text, cell.length, line_width, policy.Line(),
                          policy.density);
    if (!cell.status.ok()) {
      absl::StrAppend(&table, "failed: ", DescribeError(cell.status), "\n");
      continue;
    }
    const PerplexityCell& dense = DenseOf(report, i);
    const PerplexitySums& sums = cell.sums;
    const auto to_dense = [&](const NllSum& sum, const NllSum& dense_sum) {
      return policy.is_dense() ? "" : Percent(ToDense(sum, dense, dense_sum));
    };
    absl::StrAppendFormat(&table, "%8.4f %10.4f %10s %12.4f %10s%s\n",
                          sums.RealizedDensity(), sums.whole.Perplexity(),
                          to_dense(sums.whole, dense.sums.whole),
                          sums.last_quarter.Perplexity(),
                          to_dense(sums.last_quarter, dense.sums.last_quarter),
                          Marks(report, cell));
  }
  for (const std::string& what : report.left_out) {
    absl::StrAppend(&table, "left out: ", what, "\n");
  }
  return table;
}

Json PerplexityJson(const PerplexityReport& report) {
  Json cells = Json::array();
  int num_failed = 0;
  for (size_t i = 0; i < report.cells.size(); ++i) {
    cells.push_back(CellJson(report, i));
    if (!report.cells[i].status.ok()) ++num_failed;
  }
  return {{"cells", cells},
          {"left_out", report.left_out},
          {"num_failed", num_failed}};
}

std::string PerplexityPlot(const PerplexityReport& report) {
  std::vector<PlotPanel> panels;
  for (size_t i = 0; i < report.cells.size(); ++i) {
    const PerplexityCell& cell = report.cells[i];
    const GridPolicy& policy = report.policies[cell.policy];
    if (policy.is_dense()) {
      panels.push_back({absl::StrCat(cell.text, ", ", cell.length, " tokens"),
                        "realized sparsity",
                        "perplexity",
                        {}});
      continue;
    }
    if (!cell.status.ok()) continue;
    std::vector<PlotLine>& lines = panels.back().lines;
    if (lines.empty() || lines.back().label != policy.Line()) {
      PlotLine& line = lines.emplace_back();
      line.label = policy.Line();
      if (const PerplexityCell& dense = DenseOf(report, i); dense.status.ok()) {
        line.points.emplace_back(0, dense.sums.whole.Perplexity());
      }
    }
    lines.back().points.emplace_back(1 - cell.sums.RealizedDensity(),
                                     cell.sums.whole.Perplexity());
  }
  return LinePlotSvg(panels);
}

}  // namespace seer
