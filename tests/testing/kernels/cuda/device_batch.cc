#include "tests/testing/kernels/cuda/device_batch.h"

#include <utility>

namespace seer {

DeviceBatch::DeviceBatch(const RaggedBatch& host) : batch_(host) {
  const auto keep = [this](DeviceArray array) {
    arrays_.push_back(std::move(array));
    return arrays_.back().data();
  };
  std::vector<SequenceSlice> sequences(host.sequences,
                                       host.sequences + host.num_sequences);
  for (SequenceSlice& s : sequences) {
    const int64_t num_blocks = NumBlocks(s.position_begin + s.num_rows);
    s.page_table = static_cast<const int32_t*>(
        keep(DeviceArray(s.page_table, num_blocks * sizeof(int32_t))));
  }
  RaggedBatch planned = host;
  planned.sequences = sequences.data();
  std::vector<PromptPart> parts;
  plan_ = PlanAttention(planned, &parts);
  plan_.parts = static_cast<const PromptPart*>(keep(DeviceArray::Of(parts)));
  batch_.sequences =
      static_cast<const SequenceSlice*>(keep(DeviceArray::Of(sequences)));
  batch_.tiles = static_cast<const Tile*>(
      keep(DeviceArray(host.tiles, host.num_tiles * sizeof(Tile))));
}

}  // namespace seer
