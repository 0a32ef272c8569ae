#include "tests/testing/kernels/cuda/device_selection.h"

#include <cstring>

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

int64_t NumRows(const BlockSelectionArgs& args) {
  return int64_t{args.batch.num_prompt_tiles} * args.num_query_heads;
}

// Bytes at `data`, or none where it is null.
DeviceArray CopyOf(const void* data, int64_t num_bytes) {
  return DeviceArray(data, data == nullptr ? 0 : num_bytes);
}

// `rules` with their row budgets on the device, kept in `row_budgets`.
DeviceArray CopyRules(const BlockSelectionArgs& host,
                      std::vector<DeviceArray>* row_budgets) {
  std::vector<SelectionRule> rules(host.rules,
                                   host.rules + host.batch.num_sequences);
  for (SelectionRule& rule : rules) {
    row_budgets->push_back(
        CopyOf(rule.row_budgets, host.num_query_heads * sizeof(int32_t)));
    rule.row_budgets = row_budgets->back().As<int32_t>();
  }
  return DeviceArray::Of(rules);
}

}  // namespace

DeviceSelection::DeviceSelection(const BlockSelectionArgs& host)
    : batch_(host.batch),
      rules_(CopyRules(host, &row_budgets_)),
      logits_(CopyOf(host.logits,
                     NumRows(host) * host.logits_row_len * sizeof(float))),
      bits_(host.sets.bits,
            NumRows(host) * host.sets.num_words * sizeof(uint64_t)),
      counts_(host.sets.counts, NumRows(host) * sizeof(int32_t)),
      num_selected_(CopyOf(host.num_selected,
                           host.batch.num_sequences * sizeof(int64_t))),
      args_(host) {
  args_.batch = batch_.batch();
  args_.rules = rules_.As<SelectionRule>();
  if (host.logits != nullptr) args_.logits = logits_.As<float>();
  args_.sets.bits = bits_.As<uint64_t>();
  args_.sets.counts = counts_.As<int32_t>();
  if (host.num_selected != nullptr) {
    args_.num_selected = num_selected_.As<int64_t>();
  }
}

void DeviceSelection::CopyOutputsTo(const BlockSelectionArgs& host) const {
  bits_.CopyTo(host.sets.bits);
  counts_.CopyTo(host.sets.counts);
  if (host.num_selected != nullptr) num_selected_.CopyTo(host.num_selected);
}

absl::Status SelectOnDevice(const BlockSelectionArgs& args) {
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const DeviceSelection device(args);
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return SelectBlocks(Backend::kCuda, device.args(), on);
    }));
    if (in_graph) device.CopyOutputsTo(args);
  }
  return absl::OkStatus();
}

}  // namespace seer
