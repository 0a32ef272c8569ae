#include "tests/testing/server/temporary_jobs.h"

#include <future>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_tokenizer.h"

namespace seer {
namespace {

FakeEngine::Options EngineOptions(const Tokenizer& tokenizer) {
  FakeEngine::Options options;
  options.model.vocab_size = tokenizer.vocab_size();
  return options;
}

// Each token of a request that reads a share s less costs 1 + s nats.
FakeReply Scored(const GenerationRequest& request, const ModelInfo& model) {
  FakeReply reply = EchoReply(request, model);
  const double sparsity =
      request.policy ? request.policy->budget.target_sparsity : 0.0;
  for (Event& event : reply.events) {
    if (auto* logprobs = std::get_if<PromptLogprobsEvent>(&event)) {
      for (LogprobEntry& entry : logprobs->entries) {
        entry.token.logprob = -1.0 - sparsity;
      }
    }
  }
  return reply;
}

std::string SomeText() {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&text, "Line ", i, " tells of things.\n");
  }
  return text;
}

}  // namespace

JobOptions TemporaryJobs::QuickOptions() {
  JobOptions options;
  options.retry_delay = absl::Milliseconds(20);
  options.gate_slot_wait = absl::Milliseconds(20);
  options.poll_period = absl::Milliseconds(2);
  return options;
}

TemporaryJobs::TemporaryJobs(JobOptions options, CatalogOptions catalog,
                             int64_t num_slots)
    : options_(std::move(options)),
      catalog_(std::move(catalog)),
      tokenizer_(LoadTinyTokenizer()),
      engine_(EngineOptions(*tokenizer_),
              [this](const GenerationRequest& request) {
                return is_engine_silent ? FakeReply{{AcceptedEvent()}, {}}
                                        : Scored(request, engine_.model());
              }),
      gates_(&engine_, num_slots),
      metrics_("fake") {
  options_.folder = catalog_.options().folder;
  EXPECT_TRUE(options_.Validate().ok());
  dataset_ = catalog_.AddDataset(SomeText());
  StartJobs();
}

void TemporaryJobs::StartJobs() {
  JobParts parts;
  parts.catalog = &*catalog_;
  parts.engine = &engine_;
  parts.calibrator = &calibrator_;
  parts.gates = &gates_;
  parts.tokenizer = tokenizer_.get();
  parts.metrics = &metrics_;
  jobs_ = std::make_unique<CalibrationJobs>(parts, options_);
}

void TemporaryJobs::StopJobs() { jobs_.reset(); }

void TemporaryJobs::Restart(absl::Duration time_for_checkpoint) {
  jobs_->Stop(absl::Now() + time_for_checkpoint);
  StopJobs();
  catalog_.Reopen();
  StartJobs();
}

CalibrationSpec TemporaryJobs::Spec() {
  CalibrationSpec spec;
  spec.model = engine_.model().model_id;
  spec.dataset_id = dataset_;
  spec.display_name = "nightly";
  spec.design = "Qavg_Kmaxminavg";
  spec.target = "max";
  spec.loss = "kl";
  spec.steps = 6;
  spec.warmup_steps = 2;
  spec.tokens_per_step = 300;
  spec.sequence_len = 128;
  spec.learning_rate = 1e-3;
  spec.seed = 7;
  spec.device_share = 1.0;
  spec.validation_fraction = 0.1;
  return spec;
}

std::string TemporaryJobs::Create(const CalibrationSpec& spec) {
  return jobs_->Create(spec, {}).value().record.id;
}

JobView TemporaryJobs::WaitUntil(
    const std::string& id,
    const std::function<bool(const JobView&)>& condition) {
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  while (true) {
    JobView view = jobs_->Get(id).value();
    if (condition(view)) return view;
    if (absl::Now() >= give_up) {
      ADD_FAILURE() << "the job stays in state "
                    << static_cast<int>(view.record.state) << ", "
                    << view.record.failure.value_or(Failure()).reason << ": "
                    << view.record.failure.value_or(Failure()).message;
      return view;
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

JobView TemporaryJobs::WaitForState(const std::string& id, JobState state) {
  return WaitUntil(
      id, [state](const JobView& view) { return view.record.state == state; });
}

absl::StatusOr<JobView> TemporaryJobs::Pause(const std::string& id) {
  std::promise<absl::StatusOr<JobView>> answer;
  jobs_->Pause(id, [&](absl::StatusOr<JobView> view) {
    answer.set_value(std::move(view));
  });
  return answer.get_future().get();
}

}  // namespace seer
