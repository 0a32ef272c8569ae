#include "client/output/admin/quality_table.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output/admin/text_table.h"

namespace seer {
namespace {

using Row = std::vector<std::string>;

std::string DensityText(double density) {
  return absl::StrFormat("%.3g", density);
}

std::string RecallText(double gate, double oracle) {
  return absl::StrFormat("%.3f (%.3f)", gate, oracle);
}

// Sums of one density over the layers that have it.
struct DensitySums {
  double mass_recall = 0;
  double oracle_mass_recall = 0;
  double realized_density = 0;
  int num_layers = 0;
};

// Densities stand in the same order in every layer.
std::vector<DensitySums> SumUp(const v1::GateQuality& quality) {
  std::vector<DensitySums> sums;
  for (const v1::LayerQuality& layer : quality.layers()) {
    const auto size = static_cast<size_t>(layer.recalls_size());
    sums.resize(std::max(sums.size(), size));
    for (size_t i = 0; i < size; ++i) {
      const v1::DensityRecall& recall = layer.recalls(static_cast<int>(i));
      sums[i].mass_recall += recall.mass_recall();
      sums[i].oracle_mass_recall += recall.oracle_mass_recall();
      sums[i].realized_density += recall.realized_density();
      ++sums[i].num_layers;
    }
  }
  return sums;
}

std::string LayersTable(const v1::GateQuality& quality) {
  Row heading = {"layer", "loss"};
  for (const v1::DensityRecall& recall : quality.layers(0).recalls()) {
    heading.push_back(DensityText(recall.density()));
  }
  std::vector<Row> rows = {heading};
  double loss = 0;
  for (int i = 0; i < quality.layers_size(); ++i) {
    const v1::LayerQuality& layer = quality.layers(i);
    loss += layer.loss();
    Row row = {absl::StrCat(i), absl::StrFormat("%.5f", layer.loss())};
    for (const v1::DensityRecall& recall : layer.recalls()) {
      row.push_back(
          RecallText(recall.mass_recall(), recall.oracle_mass_recall()));
    }
    rows.push_back(std::move(row));
  }
  Row mean = {"mean", absl::StrFormat("%.5f", loss / quality.layers_size())};
  Row read = {"read", ""};
  for (const DensitySums& sums : SumUp(quality)) {
    mean.push_back(RecallText(sums.mass_recall / sums.num_layers,
                              sums.oracle_mass_recall / sums.num_layers));
    read.push_back(
        absl::StrFormat("%.3f", sums.realized_density / sums.num_layers));
  }
  rows.push_back(std::move(mean));
  rows.push_back(std::move(read));
  return absl::StrCat("mass recall (of an oracle) by density\n",
                      FormatTable(rows));
}

std::string PerplexityTable(const v1::GateQuality& quality) {
  const double dense = quality.dense_perplexity();
  std::vector<Row> rows = {{"density", "perplexity", "over dense"},
                           {"1", absl::StrFormat("%.4f", dense)}};
  for (const v1::DensityPerplexity& entry : quality.perplexities()) {
    rows.push_back(
        {DensityText(entry.density()),
         absl::StrFormat("%.4f", entry.perplexity()),
         absl::StrFormat("%+.2f %%", (entry.perplexity() / dense - 1) * 100)});
  }
  return FormatTable(rows);
}

}  // namespace

std::string QualityTable(const v1::GateQuality& quality) {
  std::string text;
  if (quality.layers_size() > 0) {
    absl::StrAppend(&text, LayersTable(quality), "\n");
  }
  if (quality.dense_perplexity() > 0) {
    absl::StrAppend(&text, PerplexityTable(quality));
  }
  absl::StrAppend(&text, "on ", quality.num_tokens(), " held-out tokens\n");
  return text;
}

}  // namespace seer
