#include "client/commands/quality/measurement.h"

#include <utility>

namespace seer {

Measurement::Measurement(const Session& session, std::string what,
                         int concurrency)
    : scope_(session.console.interrupts, &canceller_),
      progress_(session.console.err_is_terminal && !session.output.quiet
                    ? &session.console.err
                    : nullptr,
                std::move(what), "requests"),
      scorer_{session.client, {}, concurrency, nullptr} {
  scorer_.options.timeout = session.timeout;
  scorer_.options.canceller = &canceller_;
  scorer_.on_progress = [this](int64_t done, int64_t total) {
    progress_.Draw(done, total);
  };
}

}  // namespace seer
