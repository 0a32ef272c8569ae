#include "client/commands/admin/dataset.h"

#include <optional>
#include <string>

#include "base/status_macros.h"
#include "client/commands/admin/admin_session.h"
#include "client/commands/admin/dataset_flags.h"
#include "client/commands/admin/one_call_command.h"
#include "client/commands/admin/send_upload.h"
#include "client/output/admin/job_progress.h"
#include "client/output/admin/resource_json.h"
#include "client/output/admin/resource_text.h"

namespace seer {
namespace {

class DatasetUploadCommand final : public Command {
 public:
  std::string name() const override { return "dataset upload"; }
  std::string summary() const override { return "make a dataset of files"; }
  std::string arguments() const override { return "[flags] FILE..."; }
  std::string description() const override {
    return "All files become one dataset, each text file one document of it; "
           "\"-\" is\nstandard input. Interrupted, the same command goes on "
           "where it was.\n";
  }
  ServerPort port() const override { return ServerPort::kGateAdmin; }
  void AddFlags(FlagSet* flags) override { dataset_.AddTo(flags); }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console& console) override {
    SEER_ASSIGN_OR_RETURN(files_, dataset_.Files(positional, console.in));
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    const AdminSession admin(session);
    JobProgress progress(session.console, session.output.quiet);
    SEER_ASSIGN_OR_RETURN(const v1::FinalizeUploadResponse response,
                          SendUpload(admin, *files_, &progress));
    admin.Print(DatasetJson(response.dataset()),
                DatasetText(response.dataset()));
    return absl::OkStatus();
  }

 private:
  DatasetFlags dataset_;
  std::optional<UploadFiles> files_;
};

absl::Status List(const AdminSession& admin, const std::vector<std::string>&) {
  SEER_ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets,
                        admin.client().ListDatasets(admin.options()));
  admin.Print(ListJson("datasets", datasets, DatasetJson),
              DatasetsText(datasets));
  return absl::OkStatus();
}

absl::Status Get(const AdminSession& admin,
                 const std::vector<std::string>& arguments) {
  SEER_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                        admin.client().GetDataset(FullDatasetName(arguments[0]),
                                                  admin.options()));
  admin.Print(DatasetJson(dataset), DatasetText(dataset));
  return absl::OkStatus();
}

absl::Status Delete(const AdminSession& admin,
                    const std::vector<std::string>& arguments) {
  SEER_RETURN_IF_ERROR(admin.client().DeleteDataset(
      FullDatasetName(arguments[0]), admin.options()));
  admin.Print(Json::object(), "");
  return absl::OkStatus();
}

}  // namespace

std::vector<std::unique_ptr<Command>> MakeDatasetCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<DatasetUploadCommand>());
  commands.push_back(MakeOneCallCommand(
      {"dataset list", "list datasets, newest first", "", "", List}));
  commands.push_back(
      MakeOneCallCommand({"dataset get", "show a dataset", "NAME", "", Get}));
  commands.push_back(MakeOneCallCommand(
      {"dataset delete", "delete a dataset", "NAME",
       "One that a job uses which has not ended cannot be deleted.\n",
       Delete}));
  return commands;
}

}  // namespace seer
