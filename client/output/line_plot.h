// Line plots as SVG.
#ifndef SEER_CLIENT_OUTPUT_LINE_PLOT_H_
#define SEER_CLIENT_OUTPUT_LINE_PLOT_H_

#include <string>
#include <utility>
#include <vector>

namespace seer {

struct PlotLine {
  std::string label;  // lines of one label have one colour in every panel
  std::vector<std::pair<double, double>> points;  // (x, y), finite
};

// One pair of axes.
struct PlotPanel {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<PlotLine> lines;
};

// The panels, two in a row, with a legend below. x runs over [0, 1]; y over the
// panel's values, with round ticks. Text is escaped. Deterministic.
std::string LinePlotSvg(const std::vector<PlotPanel>& panels);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_LINE_PLOT_H_
