#include "tests/testing/server/catalog_operations.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

constexpr char kModel[] = "m";
const PageRequest kAll = {1000, ""};

std::string ReadFile(const std::string& path) {
  std::string content(std::filesystem::file_size(path), 0);
  std::ifstream(path, std::ios::binary).read(content.data(), content.size());
  return content;
}

// What is uploaded under a display name "SEED SIZE".
std::string ContentOf(const NewUpload& spec) {
  uint64_t seed = 0;
  const std::string& name = spec.display_name;
  if (!absl::SimpleAtoi(name.substr(0, name.find(' ')), &seed)) return "";
  std::mt19937_64 bytes(seed);
  std::string content(spec.size, 0);
  for (char& byte : content) byte = static_cast<char>(bytes());
  return content;
}

class Drawer {
 public:
  Drawer(Catalog& catalog, std::mt19937_64& random)
      : catalog_(catalog), random_(random) {}

  CatalogOperation Draw() {
    while (true) {
      CatalogOperation operation;
      switch (Below(10)) {
        case 0:
        case 1:
          operation = DrawNew();
          break;
        case 2:
        case 3:
        case 4:
          operation = DrawUpload();
          break;
        case 5:
          operation = DrawDelete();
          break;
        case 6:
        case 7:
        case 8:
          operation = DrawJob();
          break;
        default:
          operation = DrawRollout();
      }
      if (operation.run != nullptr) return operation;
    }
  }

 private:
  uint64_t Below(uint64_t end) { return random_() % end; }
  template <typename T>
  const T& OneOf(const std::vector<T>& items) {
    return items[Below(items.size())];
  }

  // A new upload or job, of which there are only so many at a time.
  CatalogOperation DrawNew() {
    const std::vector<Dataset> datasets =
        catalog_.ListDatasets(kAll).value().items;
    if (!datasets.empty() && Below(3) == 0 &&
        catalog_.JobsToRun(kModel).value().size() < 3) {
      CalibrationSpec spec;
      spec.model = kModel;
      spec.dataset_id = OneOf(datasets).id;
      return {{"+job"}, [this, spec] {
                return catalog_.CreateJob(spec, {}, TestTime()).status();
              }};
    }
    if (catalog_.ListUploads(kAll).value().items.size() >= 6) return {};
    NewUpload spec;
    spec.size = static_cast<int64_t>(1 + Below(400'000));
    spec.display_name = absl::StrCat(random_(), " ", spec.size);
    spec.sha256 = DigestOf(ContentOf(spec));
    if (Below(2) == 0) {
      spec.kind = UploadKind::kGateSet;
      spec.format = UploadFormat::kSafetensors;
    }
    return {{"+upload"}, [this, spec] {
              return catalog_.CreateUpload(spec, TestTime()).status();
            }};
  }

  CatalogOperation DrawUpload() {
    const std::vector<Upload> uploads =
        catalog_.ListUploads(kAll).value().items;
    if (uploads.empty()) return {};
    const Upload upload = OneOf(uploads);
    const std::string id = upload.id;
    if (upload.state != UploadState::kReceiving || Below(20) == 0) {
      return {{"-upload " + id},
              [this, id] { return catalog_.DeleteUpload(id); }};
    }
    if (Below(20) == 0) {
      return {{"-upload " + id, "+upload " + id}, [this, id] {
                return catalog_.FailUpload(id, {"TEST", "drawn"}, TestTime());
              }};
    }
    if (upload.committed_size < upload.spec.size) {
      const uint64_t seed = random_();
      return {{"-upload " + id, "+upload " + id},
              [this, upload, seed] { return Write(upload, seed); }};
    }
    const bool is_dataset = upload.spec.kind == UploadKind::kDataset;
    return {{"-upload " + id, "+upload " + id,
             is_dataset ? "+dataset" : "+gate_set"},
            [this, id, is_dataset] { return Finish(id, is_dataset); }};
  }

  // Some chunks from the committed size on, then a commit.
  absl::Status Write(const Upload& upload, uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::string content = ContentOf(upload.spec);
    int64_t offset = upload.committed_size;
    for (int chunk = 0; chunk < 3 && offset < upload.spec.size; ++chunk) {
      const std::string bytes = content.substr(offset, 1 + random() % 300'000);
      SEER_ASSIGN_OR_RETURN(offset, catalog_.AppendToUpload(upload.id, offset,
                                                            bytes, TestTime()));
    }
    return catalog_.CommitUpload(upload.id, TestTime()).status();
  }

  absl::Status Finish(const std::string& id, bool is_dataset) {
    SEER_RETURN_IF_ERROR(catalog_.SealUpload(id, TestTime()).status());
    if (is_dataset) {
      return catalog_.FinishDataset(id, {1, {}}, TestTime()).status();
    }
    return catalog_.FinishGateSet(id, FactsOfGateSet(), TestTime()).status();
  }

  CatalogOperation DrawDelete() {
    if (Below(2) == 0) {
      const std::vector<Dataset> datasets =
          catalog_.ListDatasets(kAll).value().items;
      const std::vector<CalibrationJob> jobs =
          catalog_.ListJobs(kAll).value().items;
      if (datasets.size() < 3) return {};
      const std::string id = OneOf(datasets).id;
      const bool in_use =
          std::any_of(jobs.begin(), jobs.end(), [&](const auto& job) {
            return job.spec.dataset_id == id && job.state <= JobState::kPaused;
          });
      if (in_use) return {};
      return {{"-dataset " + id},
              [this, id] { return catalog_.DeleteDataset(id); }};
    }
    const std::vector<GateSetRecord> gate_sets =
        catalog_.ListGateSets(kModel, kAll).value().items;
    if (gate_sets.size() < 5) return {};
    const std::string id = OneOf(gate_sets).id;
    const Rollout rollout = catalog_.GetRollout(kModel).value();
    if (id == rollout.stable || id == rollout.canary ||
        id == rollout.previous) {
      return {};
    }
    return {{"-gate_set " + id},
            [this, id] { return catalog_.DeleteGateSet(id); }};
  }

  CatalogOperation DrawJob() {
    const std::vector<CalibrationJob> jobs =
        catalog_.ListJobs(kAll).value().items;
    if (jobs.empty()) return {};
    const CalibrationJob job = OneOf(jobs);
    if (job.state > JobState::kPaused) return {};
    const std::string id = job.id;
    const std::vector<std::string> change = {"-job " + id, "+job " + id};
    if (Below(12) == 0) {
      return {change, [this, id] {
                return catalog_.CancelJob(id, TestTime()).status();
              }};
    }
    if (job.state == JobState::kPaused) {
      return {change, [this, id] { return catalog_.ResumeJob(id).status(); }};
    }
    if (job.state == JobState::kQueued) {
      return {change, [this, id] {
                return catalog_.StartJob(id, TestTime()).status();
              }};
    }
    switch (Below(7)) {
      case 0:
        return {change, [this, id] { return catalog_.PauseJob(id).status(); }};
      case 1:
        if (job.attempts == 0) return {};  // it would do nothing
        return {change,
                [this, id] { return catalog_.LetGoOfJob(id).status(); }};
      case 2: {
        const std::string file = absl::StrCat("gate ", random_());
        return {{"-job " + id, "+job " + id, "+gate_set"}, [this, id, file] {
                  return catalog_
                      .CompleteJob(id, {}, FactsOfGateSet(), {file}, TestTime())
                      .status();
                }};
      }
      default: {
        CalibrationProgress progress;
        progress.step = job.progress.step + 1;
        return {change, [this, id, progress] {
                  const std::string step = absl::StrCat("step ", progress.step);
                  return catalog_.SaveCheckpoint(
                      id, progress, {step, "\n", std::string(300'000, 'c')});
                }};
      }
    }
  }

  CatalogOperation DrawRollout() {
    const std::vector<std::string> effect = {"-rollout", "+rollout"};
    const Rollout rollout = catalog_.GetRollout(kModel).value();
    if (Below(3) == 0 && !rollout.previous.empty()) {
      return {
          effect, [this] {
            return catalog_.RollBack(kModel, "", false, TestTime()).status();
          }};
    }
    const std::vector<GateSetRecord> gate_sets =
        catalog_.ListGateSets(kModel, kAll).value().items;
    if (gate_sets.empty()) return {};
    RolloutChange change;
    change.etag = rollout.etag;
    change.stable = OneOf(gate_sets).id;
    change.canary = OneOf(gate_sets).id;
    if (change.canary == change.stable) change.canary = "";
    change.canary_fraction =
        change.canary->empty() ? 0 : 0.125 * static_cast<double>(Below(9));
    return {
        effect, [this, change] {
          return catalog_.UpdateRollout(kModel, change, TestTime()).status();
        }};
  }

  Catalog& catalog_;
  std::mt19937_64& random_;
};

}  // namespace

CatalogState StateOf(Catalog& catalog) {
  CatalogState state;
  const Page<Upload> uploads = catalog.ListUploads(kAll).value();
  for (const Upload& upload : uploads.items) {
    state.insert(absl::StrCat("upload ", upload.id, " ", upload.committed_size,
                              " ", static_cast<int>(upload.state), " ",
                              upload.result_id));
  }
  const Page<Dataset> datasets = catalog.ListDatasets(kAll).value();
  for (const Dataset& dataset : datasets.items) {
    state.insert(absl::StrCat("dataset ", dataset.id, " ", dataset.sha256));
  }
  const Page<CalibrationJob> jobs = catalog.ListJobs(kAll).value();
  for (const CalibrationJob& job : jobs.items) {
    state.insert(absl::StrCat("job ", job.id, " ", static_cast<int>(job.state),
                              " ", job.attempts, " ", job.has_checkpoint, " ",
                              job.progress.step, " ", job.gate_set_id));
  }
  const Page<GateSetRecord> gate_sets =
      catalog.ListGateSets(kModel, kAll).value();
  for (const GateSetRecord& gate_set : gate_sets.items) {
    state.insert(absl::StrCat("gate_set ", gate_set.id, " ", gate_set.sha256));
  }
  const Rollout rollout = catalog.GetRollout(kModel).value();
  state.insert(absl::StrCat("rollout ", rollout.etag, " ", rollout.stable, " ",
                            rollout.canary, " ", rollout.canary_fraction, " ",
                            rollout.previous));
  return state;
}

CatalogOperation DrawOperation(Catalog& catalog, std::mt19937_64& random) {
  // Operations refer to the catalog through their drawer.
  const auto drawer = std::make_shared<Drawer>(catalog, random);
  CatalogOperation operation = drawer->Draw();
  operation.run = [drawer, run = std::move(operation.run)] { return run(); };
  return operation;
}

std::string Unexplained(const CatalogState& before, const CatalogState& after,
                        const std::vector<std::string>& effect) {
  std::vector<std::string> difference;
  for (const std::string& line : before) {
    if (after.count(line) == 0) difference.push_back("-" + line);
  }
  for (const std::string& line : after) {
    if (before.count(line) == 0) difference.push_back("+" + line);
  }
  if (difference.empty()) return "";
  std::vector<std::string> rest = difference;
  bool all = true;
  for (const std::string& beginning : effect) {
    const auto found =
        std::find_if(rest.begin(), rest.end(), [&](const std::string& line) {
          return absl::StartsWith(line, beginning);
        });
    if (found == rest.end()) {
      all = false;
    } else {
      rest.erase(found);
    }
  }
  if (all && rest.empty()) return "";
  return absl::StrCat("differs by\n  ", absl::StrJoin(difference, "\n  "),
                      "\nwhere all or nothing could be\n  ",
                      absl::StrJoin(effect, "\n  "));
}

std::string BrokenFiles(Catalog& catalog, const std::string& blobs) {
  size_t at_least = 0;
  size_t at_most = 0;
  const Page<Dataset> datasets = catalog.ListDatasets(kAll).value();
  for (const Dataset& dataset : datasets.items) {
    ++at_least;
    if (DigestOf(ReadFile(dataset.path)) != dataset.sha256) {
      return "dataset " + dataset.id;
    }
  }
  const Page<GateSetRecord> gate_sets =
      catalog.ListGateSets(kModel, kAll).value();
  for (const GateSetRecord& gate_set : gate_sets.items) {
    ++at_least;
    if (DigestOf(ReadFile(gate_set.path)) != gate_set.sha256 ||
        !catalog.VerifyGateSet(gate_set.id).ok()) {
      return "gate set " + gate_set.id;
    }
  }
  const Page<CalibrationJob> jobs = catalog.ListJobs(kAll).value();
  for (const CalibrationJob& job : jobs.items) {
    if (!job.has_checkpoint) continue;
    ++at_least;
    const absl::StatusOr<std::string> path = catalog.CheckpointPath(job.id);
    if (!path.ok() ||
        !absl::StartsWith(ReadFile(*path),
                          absl::StrCat("step ", job.progress.step, "\n"))) {
      return "checkpoint of job " + job.id;
    }
  }
  const Page<Upload> uploads = catalog.ListUploads(kAll).value();
  for (const Upload& upload : uploads.items) {
    if (upload.state == UploadState::kReceiving) ++at_most;
    if (upload.committed_size > 0 && upload.state == UploadState::kReceiving) {
      ++at_least;
      --at_most;
    }
  }
  at_most += at_least;
  const std::filesystem::directory_iterator files(blobs);
  const size_t num_files = std::distance(begin(files), end(files));
  if (num_files < at_least || num_files > at_most) {
    return absl::StrCat(num_files, " files, not in [", at_least, ", ", at_most,
                        "]");
  }
  return "";
}

}  // namespace seer
