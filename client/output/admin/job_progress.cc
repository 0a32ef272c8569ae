#include "client/output/admin/job_progress.h"

#include "absl/strings/str_cat.h"
#include "client/output/admin/resource_text.h"
#include "client/output/admin/resource_words.h"

namespace seer {

JobProgress::JobProgress(const Console& console, bool quiet)
    : lines_(quiet || console.err_is_terminal ? nullptr : &console.err),
      bar_(!quiet && console.err_is_terminal ? &console.err : nullptr) {}

void JobProgress::ShowUpload(int64_t sent, int64_t size) {
  Show("uploading", static_cast<double>(sent) / static_cast<double>(size),
       absl::StrCat(SizeText(sent), " of ", SizeText(size)));
}

void JobProgress::ShowJob(const v1::CalibrationJob& job) {
  const v1::CalibrationProgress& progress = job.progress();
  const bool runs = job.state() == v1::CALIBRATION_JOB_STATE_RUNNING &&
                    progress.phase() != v1::CALIBRATION_PHASE_UNSPECIFIED;
  // Where there is nothing to train, that is done once measuring begins.
  const bool measures = progress.phase() == v1::CALIBRATION_PHASE_PROFILING ||
                        progress.phase() == v1::CALIBRATION_PHASE_EVALUATING;
  const double share = progress.steps() > 0
                           ? static_cast<double>(progress.step()) /
                                 static_cast<double>(progress.steps())
                           : (measures ? 1.0 : 0.0);
  Show(runs ? Word(progress.phase()) : Word(job.state()), share,
       ProgressText(progress));
}

void JobProgress::Show(const std::string& what, double share,
                       const std::string& facts) {
  bar_.Draw(what, share, facts);
  if (lines_ == nullptr) return;
  const int tenth = static_cast<int>(share * 10);
  if (what == what_ && tenth == tenth_) return;
  what_ = what;
  tenth_ = tenth;
  *lines_ << what << (facts.empty() ? "" : ": ") << facts << std::endl;
}

}  // namespace seer
