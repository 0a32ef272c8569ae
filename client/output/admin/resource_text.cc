#include "client/output/admin/resource_text.h"

#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/output/admin/quality_table.h"
#include "client/output/admin/resource_words.h"
#include "client/output/admin/text_table.h"
#include "client/output/words.h"

namespace seer {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string OrNone(const std::string& text) {
  return text.empty() ? "none" : text;
}

// The heading alone says nothing.
std::string ListText(const Rows& rows) {
  return rows.size() > 1 ? FormatTable(rows) : "none\n";
}

void AddTime(const char* what, bool set,
             const google::protobuf::Timestamp& time, Rows* rows) {
  if (set) rows->push_back({what, TimeText(time)});
}

// The last column of a list: what people call it, or what is wrong with it.
template <typename Resource>
std::string Remark(const Resource& resource) {
  return resource.has_damage()
             ? absl::StrCat("DAMAGED ", FailureText(resource.damage()))
             : resource.display_name();
}

std::string TokensText(const v1::Dataset& dataset) {
  return dataset.has_num_tokens() ? absl::StrCat(dataset.num_tokens())
                                  : "not counted yet";
}

std::string LabelsText(const v1::GateSet& gate_set) {
  return absl::StrJoin(gate_set.labels(), ", ",
                       [](std::string* out, const int label) {
                         *out += Word(static_cast<v1::GateLabel>(label));
                       });
}

std::string SettingsText(const v1::CalibrationJob& job) {
  if (job.steps() == 0) {
    return absl::StrCat("none: a profile of sequences of ",
                        job.sequence_length(), " tokens, seed ", job.seed());
  }
  std::string text = absl::StrCat(job.steps(), " steps");
  absl::StrAppend(&text, " (", job.warmup_steps(), " of warm-up) of ",
                  job.tokens_per_step(), " tokens in sequences of ",
                  job.sequence_length(), ", learning rate ",
                  job.learning_rate(), ", seed ", job.seed());
  return text;
}

std::string ProvenanceText(const v1::GateProvenance& provenance) {
  const bool was_trained =
      provenance.steps() > 0 ||
      provenance.target() != v1::CALIBRATION_TARGET_UNSPECIFIED;
  if (!was_trained) {
    return absl::StrCat("profiling on ", provenance.dataset_tokens(),
                        " tokens, seed ", provenance.seed(), ", by ",
                        OrNone(provenance.tool_version()));
  }
  return absl::StrCat(provenance.steps(), " steps on ",
                      provenance.dataset_tokens(), " tokens, target ",
                      Word(provenance.target()), ", loss ",
                      Word(provenance.loss()), ", seed ", provenance.seed(),
                      ", by ", OrNone(provenance.tool_version()));
}

}  // namespace

std::string DatasetText(const v1::Dataset& dataset) {
  Rows rows = {{"dataset", dataset.name()},
               {"label", OrNone(dataset.display_name())},
               {"format", Word(dataset.format())},
               {"size", SizeText(dataset.size())},
               {"documents", absl::StrCat(dataset.num_documents())},
               {"tokens", TokensText(dataset)},
               {"sha256", dataset.sha256()}};
  AddTime("created", dataset.has_create_time(), dataset.create_time(), &rows);
  if (dataset.has_damage()) {
    rows.push_back({"damage", FailureText(dataset.damage())});
  }
  return FormatTable(rows);
}

std::string CalibrationJobText(const v1::CalibrationJob& job) {
  Rows rows = {{"job", job.name()},
               {"label", OrNone(job.display_name())},
               {"state", Word(job.state())}};
  if (job.has_failure()) {
    rows.push_back({"failure", FailureText(job.failure())});
  }
  if (job.has_progress()) {
    rows.push_back({"phase", Word(job.progress().phase())});
    rows.push_back({"progress", ProgressText(job.progress())});
  }
  rows.push_back({"model", job.model()});
  rows.push_back({"dataset", job.dataset()});
  rows.push_back(
      {"gate", absl::StrCat(job.design(), ", target ", Word(job.target()),
                            ", loss ", Word(job.loss()))});
  rows.push_back({"training", SettingsText(job)});
  rows.push_back({"gate set", OrNone(job.gate_set())});
  AddTime("created", job.has_create_time(), job.create_time(), &rows);
  AddTime("started", job.has_start_time(), job.start_time(), &rows);
  AddTime("ended", job.has_end_time(), job.end_time(), &rows);
  std::string text = FormatTable(rows);
  if (job.has_quality()) {
    absl::StrAppend(&text, "\n", QualityTable(job.quality()));
  }
  return text;
}

std::string GateSetText(const v1::GateSet& gate_set) {
  Rows rows = {{"gate set", gate_set.name()},
               {"label", OrNone(gate_set.display_name())},
               {"design", gate_set.design()},
               {"profile", gate_set.has_profile() ? "yes" : "no"},
               {"serves as", OrNone(LabelsText(gate_set))},
               {"size", SizeText(gate_set.size())},
               {"sha256", gate_set.sha256()},
               {"model", gate_set.fingerprint()},
               {"source", OrNone(gate_set.source())}};
  if (gate_set.has_provenance()) {
    rows.push_back({"made in", ProvenanceText(gate_set.provenance())});
  }
  AddTime("created", gate_set.has_create_time(), gate_set.create_time(), &rows);
  if (gate_set.has_damage()) {
    rows.push_back({"damage", FailureText(gate_set.damage())});
  }
  std::string text = FormatTable(rows);
  if (gate_set.has_quality()) {
    absl::StrAppend(&text, "\n", QualityTable(gate_set.quality()));
  }
  return text;
}

std::string RolloutText(const v1::GateRollout& rollout) {
  Rows rows = {{"stable", OrNone(rollout.stable())}};
  rows.push_back(
      {"canary",
       rollout.canary().empty()
           ? "none"
           : absl::StrFormat("%s, %.4g %% of the requests", rollout.canary(),
                             rollout.canary_fraction() * 100)});
  rows.push_back({"previous", OrNone(rollout.previous())});
  AddTime("changed", rollout.has_update_time(), rollout.update_time(), &rows);
  return FormatTable(rows);
}

std::string DatasetsText(const std::vector<v1::Dataset>& datasets) {
  Rows rows = {{"NAME", "DOCUMENTS", "TOKENS", "SIZE", "CREATED", "LABEL"}};
  for (const v1::Dataset& dataset : datasets) {
    rows.push_back(
        {dataset.name(), absl::StrCat(dataset.num_documents()),
         dataset.has_num_tokens() ? absl::StrCat(dataset.num_tokens()) : "-",
         SizeText(dataset.size()), TimeText(dataset.create_time()),
         Remark(dataset)});
  }
  return ListText(rows);
}

std::string CalibrationJobsText(const std::vector<v1::CalibrationJob>& jobs) {
  Rows rows = {{"NAME", "STATE", "STEP", "DATASET", "CREATED", "LABEL"}};
  for (const v1::CalibrationJob& job : jobs) {
    rows.push_back(
        {job.name(), Word(job.state()),
         job.steps() == 0
             ? "-"
             : absl::StrCat(job.progress().step(), "/", job.steps()),
         job.dataset(), TimeText(job.create_time()),
         job.has_failure() ? FailureText(job.failure()) : job.display_name()});
  }
  return ListText(rows);
}

std::string GateSetsText(const std::vector<v1::GateSet>& gate_sets) {
  Rows rows = {{"NAME", "DESIGN", "PROFILE", "SERVES AS", "CREATED", "LABEL"}};
  for (const v1::GateSet& gate_set : gate_sets) {
    const std::string labels = LabelsText(gate_set);
    rows.push_back({gate_set.name(), gate_set.design(),
                    gate_set.has_profile() ? "yes" : "no",
                    labels.empty() ? "-" : labels,
                    TimeText(gate_set.create_time()), Remark(gate_set)});
  }
  return ListText(rows);
}

std::string RevisionsText(
    const std::vector<v1::GateRolloutRevision>& revisions) {
  Rows rows = {{"CHANGED", "CAUSE", "STABLE", "CANARY", "FRACTION", "MESSAGE"}};
  for (const v1::GateRolloutRevision& revision : revisions) {
    const v1::GateRollout& rollout = revision.gate_rollout();
    rows.push_back({TimeText(rollout.update_time()), Word(revision.cause()),
                    OrNone(rollout.stable()), OrNone(rollout.canary()),
                    absl::StrFormat("%.4g", rollout.canary_fraction()),
                    revision.message()});
  }
  return ListText(rows);
}

std::string ProgressText(const v1::CalibrationProgress& progress) {
  std::vector<std::string> facts;
  if (progress.steps() > 0) {
    facts.push_back(
        absl::StrFormat("step %d/%d", progress.step(), progress.steps()));
  }
  const auto& losses = progress.layer_losses();
  if (!losses.empty()) {
    facts.push_back(absl::StrFormat(
        "loss %.4g",
        std::accumulate(losses.begin(), losses.end(), 0.0) / losses.size()));
  }
  if (progress.tokens_per_second() > 0) {
    facts.push_back(
        absl::StrFormat("%.0f tokens/s", progress.tokens_per_second()));
  }
  if (progress.has_eta()) {
    facts.push_back(absl::StrCat(
        absl::FormatDuration(absl::Seconds(std::ceil(Seconds(progress.eta())))),
        " left"));
  }
  return absl::StrJoin(facts, ", ");
}

std::string FailureText(const v1::Failure& failure) {
  return absl::StrCat(failure.reason(), ": ", failure.message());
}

}  // namespace seer
