// How far something is, on a terminal.
#ifndef SEER_CLIENT_OUTPUT_PROGRESS_BAR_H_
#define SEER_CLIENT_OUTPUT_PROGRESS_BAR_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace seer {

// One line, drawn over itself:
//   prefill [############............] 3072/6021 tokens  51 %
class ProgressBar {
 public:
  // Null: draws nothing. Else a terminal, which must outlive this. `what` is
  // being done, counted in `unit`.
  explicit ProgressBar(std::ostream* terminal, std::string what = "prefill",
                       std::string unit = "tokens")
      : terminal_(terminal), what_(std::move(what)), unit_(std::move(unit)) {}
  // Clears the line.
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `total` > 0; `processed` in [0, total].
  void Draw(int64_t processed, int64_t total);
  // Something that changes what it does: that, how much of it is done, in [0,
  // 1], and facts in place of the counts.
  void Draw(absl::string_view what, double share, absl::string_view facts);
  // Takes the bar away, so that other text may follow. Nothing where no bar
  // stands.
  void Clear();

 private:
  std::ostream* const terminal_;
  const std::string what_;
  const std::string unit_;
  bool drawn_ = false;
};

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_PROGRESS_BAR_H_
