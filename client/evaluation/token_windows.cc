#include "client/evaluation/token_windows.h"

#include <algorithm>

namespace seer {

std::vector<int64_t> WindowStarts(int64_t num_tokens, int64_t length,
                                  int64_t max_windows) {
  const int64_t count = std::min(max_windows, num_tokens / length);
  if (count <= 0) return {};
  std::vector<int64_t> starts(count, 0);
  // (num_tokens - length) / (count - 1) >= length wherever count windows fit.
  for (int64_t i = 1; i < count; ++i) {
    starts[i] = (num_tokens - length) * i / (count - 1);
  }
  return starts;
}

}  // namespace seer
