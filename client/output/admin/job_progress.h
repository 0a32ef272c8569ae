// How far uploads and calibration jobs are, while one waits for them.
#ifndef SEER_CLIENT_OUTPUT_ADMIN_JOB_PROGRESS_H_
#define SEER_CLIENT_OUTPUT_ADMIN_JOB_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "client/output/console.h"
#include "client/output/progress_bar.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// On a terminal a bar, drawn over itself:
//   training [######..................] step 120/500, loss 0.03124, 8123
//   tokens/s, 4m10s left
// Elsewhere a line whenever what is done changes or a tenth of it is over;
// nothing at all where it is quiet.
class JobProgress {
 public:
  // Writes to console.err, which must outlive this.
  JobProgress(const Console& console, bool quiet);

  void ShowUpload(int64_t sent, int64_t size);
  void ShowJob(const v1::CalibrationJob& job);
  // Takes the bar away.
  void Clear() { bar_.Clear(); }

 private:
  void Show(const std::string& what, double share, const std::string& facts);

  std::ostream* const lines_;  // null: none
  ProgressBar bar_;
  std::string what_;
  int tenth_ = -1;  // of what_; -1: no line yet
};

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_JOB_PROGRESS_H_
