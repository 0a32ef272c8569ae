#include "client/output/line_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace seer {
namespace {

// In pixels.
constexpr double kPanelWidth = 440;
constexpr double kPanelHeight = 300;
constexpr double kLeft = 64;
constexpr double kTop = 36;
constexpr double kPlotWidth = 350;
constexpr double kPlotHeight = 210;
constexpr double kLegendRow = 18;
constexpr int kColumns = 2;

constexpr const char* kColours[] = {"#1b6ca8", "#d1495b", "#3a7d44", "#8d5a97",
                                    "#c77b0a", "#4a4e69", "#0f8b8d", "#a44a3f"};

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Text(double x, double y, absl::string_view anchor,
                 absl::string_view text) {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s"
      "</text>\n",
      x, y, anchor, Escaped(text));
}

std::string Colour(const std::vector<std::string>& labels,
                   const std::string& label) {
  const auto index =
      std::find(labels.begin(), labels.end(), label) - labels.begin();
  return kColours[index % std::size(kColours)];
}

struct Axis {
  double low = 0;
  double high = 1;
  double step = 1;
};

// Round ticks, about five, around the values.
Axis AxisAround(const PlotPanel& panel) {
  double low = INFINITY;
  double high = -INFINITY;
  for (const PlotLine& line : panel.lines) {
    for (const auto& [x, y] : line.points) {
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  if (!(low <= high)) return Axis();
  const double spread = std::max(high - low, 1e-6 * std::abs(high) + 1e-9);
  const double raw = spread / 5;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  Axis axis;
  axis.step = 10 * power;
  for (const double round : {1, 2, 5}) {
    if (round * power >= raw) {
      axis.step = round * power;
      break;
    }
  }
  axis.low = std::floor(low / axis.step) * axis.step;
  axis.high =
      std::max(std::ceil(high / axis.step) * axis.step, axis.low + axis.step);
  return axis;
}

// A panel whose corner is at (left, top).
std::string Panel(const PlotPanel& panel, double left, double top,
                  const std::vector<std::string>& labels) {
  const Axis axis = AxisAround(panel);
  left += kLeft;
  top += kTop;
  const auto x_at = [&](double x) { return left + x * kPlotWidth; };
  const auto y_at = [&](double y) {
    return top + kPlotHeight * (axis.high - y) / (axis.high - axis.low);
  };
  std::string svg = Text(left, top - 20, "start", panel.title);
  absl::StrAppend(&svg, Text(left, top - 6, "start", panel.y_label),
                  Text(left + kPlotWidth / 2, top + kPlotHeight + 36, "middle",
                       panel.x_label));
  const int decimals =
      std::max(0, static_cast<int>(-std::floor(std::log10(axis.step) + 1e-9)));
  const auto num_steps =
      static_cast<int>(std::lround((axis.high - axis.low) / axis.step));
  for (int i = 0; i <= num_steps; ++i) {
    const double y = axis.low + i * axis.step;
    absl::StrAppendFormat(&svg,
                          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                          "y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                          left, left + kPlotWidth, y_at(y), y_at(y));
    absl::StrAppend(&svg, Text(left - 6, y_at(y) + 4, "end",
                               absl::StrFormat("%.*f", decimals, y)));
  }
  for (int fifth = 0; fifth <= 5; ++fifth) {
    absl::StrAppend(&svg, Text(x_at(fifth / 5.0), top + kPlotHeight + 18,
                               "middle", absl::StrFormat("%.1f", fifth / 5.0)));
  }
  for (const PlotLine& line : panel.lines) {
    const std::string colour = Colour(labels, line.label);
    std::string points;
    std::string dots;
    for (const auto& [x, y] : line.points) {
      absl::StrAppendFormat(&points, "%s%.1f,%.1f", points.empty() ? "" : " ",
                            x_at(x), y_at(y));
      absl::StrAppendFormat(
          &dots, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
          x_at(x), y_at(y), colour);
    }
    absl::StrAppendFormat(&svg,
                          "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" "
                          "stroke-width=\"2\"/>\n",
                          points, colour);
    absl::StrAppend(&svg, dots);
  }
  return svg;
}

}  // namespace

std::string LinePlotSvg(const std::vector<PlotPanel>& panels) {
  std::vector<std::string> labels;
  for (const PlotPanel& panel : panels) {
    for (const PlotLine& line : panel.lines) {
      if (std::find(labels.begin(), labels.end(), line.label) == labels.end()) {
        labels.push_back(line.label);
      }
    }
  }
  const auto num_rows =
      static_cast<double>((panels.size() + kColumns - 1) / kColumns);
  const double legend_top = num_rows * kPanelHeight;
  const double height = legend_top + kLegendRow * (labels.size() + 1);
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
      "height=\"%.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      kPanelWidth *
          std::min<size_t>(kColumns, std::max<size_t>(1, panels.size())),
      height);
  for (size_t i = 0; i < panels.size(); ++i) {
    absl::StrAppend(&svg, Panel(panels[i], i % kColumns * kPanelWidth,
                                i / kColumns * kPanelHeight, labels));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    const double y = legend_top + kLegendRow * (i + 0.5);
    absl::StrAppendFormat(&svg,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"18\" "
                          "height=\"4\" fill=\"%s\"/>\n",
                          kLeft, y - 6, Colour(labels, labels[i]));
    absl::StrAppend(&svg, Text(kLeft + 26, y, "start", labels[i]));
  }
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace seer
