#include "tests/benchmarks/stream_summary.h"

#include <condition_variable>
#include <mutex>
#include <variant>

namespace seer {

absl::StatusOr<SummaryEvent> WaitForSummary(TokenStream& stream) {
  std::mutex mutex;
  std::condition_variable ready;
  bool is_ready = false;
  stream.OnReady([&] {
    const std::lock_guard<std::mutex> lock(mutex);
    is_ready = true;
    ready.notify_one();
  });
  while (true) {
    for (Event event; stream.TryNext(&event);) {
      if (auto* failure = std::get_if<FailureEvent>(&event)) {
        return failure->status;
      }
      if (auto* summary = std::get_if<SummaryEvent>(&event)) return *summary;
    }
    std::unique_lock<std::mutex> lock(mutex);
    ready.wait(lock, [&] { return is_ready; });
    is_ready = false;
  }
}

}  // namespace seer
