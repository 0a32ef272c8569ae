// The commands of the admin service, against a scripted one.

#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash/crc32c.h"
#include "base/hash/sha256.h"
#include "client/output/result_json.h"
#include "client/seerctl.h"
#include "client/testing/memory_uploads.h"
#include "client/testing/scripted_admin_server.h"
#include "client/testing/scripted_server.h"
#include "client/testing/seerctl_run.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

std::string WriteFile(const std::string& name, const std::string& bytes) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/", name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

grpc::Status WithReason(grpc::StatusCode code, const std::string& reason) {
  google::rpc::ErrorInfo error_info;
  error_info.set_reason(reason);
  return WithDetails(code, "no", {&error_info});
}

constexpr char kQueued[] = "name: 'calibrationJobs/7' state: 1 steps: 4";
constexpr char kTraining[] = R"(
    name: 'calibrationJobs/7' state: 2
    progress { phase: 2 step: 2 steps: 4 layer_losses: 0.25 layer_losses: 0.75
               tokens_per_second: 812.4 eta { seconds: 250 } })";
constexpr char kSucceeded[] = R"(
    name: 'calibrationJobs/7' state: 4 gate_set: 'models/m/gateSets/g'
    quality {
      layers {
        loss: 0.25
        recalls { density: 0.5 mass_recall: 0.75 oracle_mass_recall: 0.875
                  realized_density: 0.5 }
        recalls { density: 0.1 mass_recall: 0.5 oracle_mass_recall: 0.625
                  realized_density: 0.125 }
      }
      layers {
        loss: 0.75
        recalls { density: 0.5 mass_recall: 0.25 oracle_mass_recall: 0.625
                  realized_density: 0.5 }
        recalls { density: 0.1 mass_recall: 0.25 oracle_mass_recall: 0.375
                  realized_density: 0.25 }
      }
      perplexities { density: 0.5 perplexity: 10.5 }
      perplexities { density: 0.1 perplexity: 16 }
      dense_perplexity: 10 num_tokens: 4096
    })";

class SeerctlAdminTest : public ::testing::Test {
 protected:
  SeerctlAdminTest() {
    rollout_ = Parse<v1::GateRollout>(
        "name: 'models/m/gateRollout' stable: 'models/m/gateSets/a' etag: '1'");
    script_.admit = [this](const grpc::ServerContext& context) {
      const auto found = context.client_metadata().find("authorization");
      authorization_ =
          found == context.client_metadata().end()
              ? ""
              : std::string(found->second.begin(), found->second.end());
      return grpc::Status::OK;
    };
    script_.get_gate_set = [](const auto& request, v1::GateSet* gate_set) {
      const std::string& name = request.name();
      gate_set->set_name(
          absl::StrCat("models/m/", name.substr(name.find("gateSets/"))));
      gate_set->set_sha256(Sha256Hex({}));
      return grpc::Status::OK;
    };
    script_.get_rollout = [this](const auto&, v1::GateRollout* rollout) {
      *rollout = rollout_;
      return grpc::Status::OK;
    };
    script_.update_rollout = [this](const auto& request, auto* rollout) {
      return Change(request.gate_rollout(), request.gate_rollout().etag(),
                    rollout);
    };
    script_.roll_back = [this](const auto& request, auto* rollout) {
      v1::GateRollout wanted = rollout_;
      wanted.set_stable(rollout_.previous());
      return Change(wanted, request.etag(), rollout);
    };
    script_.create_job = [this](const auto& request, v1::CalibrationJob* job) {
      creations_.push_back(request);
      *job = Parse<v1::CalibrationJob>(kQueued);
      return grpc::Status::OK;
    };
    uploads_.AddTo(&script_);
  }

  // Frames of the stream that watches a job.
  void Watch(std::vector<std::string> frames) {
    script_.watch_job = [frames](auto&, const auto& request, auto& writer) {
      EXPECT_EQ(request.name(), "calibrationJobs/7");
      for (const std::string& frame : frames) {
        writer.Write(Parse<v1::CalibrationJob>(frame));
      }
      return grpc::Status::OK;
    };
  }

  // Each `before_change_` runs before one change and may end it.
  grpc::Status Change(const v1::GateRollout& wanted, const std::string& etag,
                      v1::GateRollout* rollout) {
    ++num_changes_;
    if (!before_change_.empty()) {
      const auto before = before_change_.front();
      before_change_.erase(before_change_.begin());
      before();
    }
    if (etag != rollout_.etag()) {
      return WithReason(grpc::ABORTED, "ETAG_MISMATCH");
    }
    const std::string previous = rollout_.stable();
    rollout_ = wanted;
    if (wanted.stable() != previous) rollout_.set_previous(previous);
    rollout_.set_etag(etag + "+");
    *rollout = rollout_;
    if (lose_answer_) {
      lose_answer_ = false;
      return grpc::Status(grpc::UNAVAILABLE, "went away");
    }
    return grpc::Status::OK;
  }

  SeerctlOutput Run(std::vector<std::string> args,
                    const std::string& input = "", bool terminal = false) {
    if (server_ == nullptr) {
      server_ = std::make_unique<ScriptedAdminServer>(script_);
    }
    args.push_back("--server=" + server_->address());
    return RunSeerctlOn(args, input, terminal);
  }

  AdminScript script_;  // set before the first Run
  MemoryUploads uploads_;
  std::string authorization_;
  std::vector<v1::CreateCalibrationJobRequest> creations_;
  v1::GateRollout rollout_;
  int num_changes_ = 0;
  std::vector<std::function<void()>> before_change_;
  bool lose_answer_ = false;
  std::unique_ptr<ScriptedAdminServer> server_;
};

TEST_F(SeerctlAdminTest, CalibrateGoesFromFilesToAnActiveGateSet) {
  Watch({kQueued, kTraining, kTraining, kSucceeded});
  const SeerctlOutput output = Run(
      {"calibrate", WriteFile("a.txt", "Alpha \"1\"\n"), "-",
       WriteFile("b.jsonl", "{\"text\":\"Beta\"}"), WriteFile("empty.txt", ""),
       "--activate", "--steps=4", "--target=mass", "--loss=kl", "--seed=3",
       "--design=Qavg_Kavg", "--warmup_steps=1", "--tokens_per_step=256",
       "--sequence_length=128", "--learning_rate=0.5", "--device_share=0.25",
       "--validation_fraction=0.125", "--label=mine"},
      "Gamma");
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(uploads_.bytes("uploads/1"),
            "{\"text\":\"Alpha \\\"1\\\"\\n\"}\n{\"text\":\"Gamma\"}\n"
            "{\"text\":\"Beta\"}\n");
  EXPECT_EQ(uploads_.creations()[0].upload().format(),
            v1::UPLOAD_FORMAT_JSON_LINES);
  ASSERT_EQ(creations_.size(), 1);
  EXPECT_EQ(creations_[0].request_id().size(), 32);
  EXPECT_EQ(creations_[0].calibration_job().ShortDebugString(),
            "display_name: \"mine\" dataset: \"datasets/1\" design: "
            "\"Qavg_Kavg\" target: CALIBRATION_TARGET_MASS loss: "
            "CALIBRATION_LOSS_KL steps: 4 warmup_steps: 1 tokens_per_step: 256 "
            "sequence_length: 128 learning_rate: 0.5 seed: 3 device_share: "
            "0.25 validation_fraction: 0.125");
  EXPECT_EQ(output.err,
            "uploading: 0 B of 58 B\n"
            "uploading: 58 B of 58 B\n"
            "queued\n"
            "training: step 2/4, loss 0.5, 812 tokens/s, 4m10s left\n"
            "succeeded\n");
  EXPECT_THAT(output.out, HasSubstr(R"(
mass recall (of an oracle) by density
layer  loss     0.5            0.1
0      0.25000  0.750 (0.875)  0.500 (0.625)
1      0.75000  0.250 (0.625)  0.250 (0.375)
mean   0.50000  0.500 (0.750)  0.375 (0.500)
read            0.500          0.188

density  perplexity  over dense
1        10.0000
0.5      10.5000     +5.00 %
0.1      16.0000     +60.00 %
on 4096 held-out tokens

stable    models/m/gateSets/g
canary    none
previous  models/m/gateSets/a
)"));
}

TEST_F(SeerctlAdminTest, CalibrateDrawsABarOnATerminal) {
  Watch({kTraining, kSucceeded});
  const SeerctlOutput output =
      Run({"calibrate", "--dataset=d", "--canary=0.25", "--json"}, "",
          /*terminal=*/true);
  EXPECT_THAT(output.err, HasSubstr("training [############............] step "
                                    "2/4, loss 0.5, 812 tokens/s"));
  EXPECT_THAT(output.err, Not(HasSubstr("\n")));
  EXPECT_EQ(creations_[0].calibration_job().ShortDebugString(),
            "dataset: \"datasets/d\"");
  const Json json = Json::parse(output.out);
  EXPECT_EQ(json["state"], "succeeded");
  EXPECT_EQ(json["quality"]["layers"][1]["recalls"][0]["mass_recall"], 0.25);
  EXPECT_EQ(json["rollout"]["stable"], "models/m/gateSets/a");
  EXPECT_EQ(json["rollout"]["canary"], "models/m/gateSets/g");
  EXPECT_EQ(json["rollout"]["canary_fraction"], 0.25);
  EXPECT_EQ(Run({"jobs", "watch", "7", "--quiet"}, "", true).err, "");
}

TEST_F(SeerctlAdminTest, CalibrateMakesAProfileWithoutTraining) {
  Watch({kQueued,
         "name: 'calibrationJobs/7' state: 2 design: 'mean_pool' steps: 0 "
         "progress { phase: 3 tokens_per_second: 812.4 eta { seconds: 250 } }",
         "name: 'calibrationJobs/7' state: 4 design: 'mean_pool' steps: 0 "
         "sequence_length: 4096 seed: 3 gate_set: 'models/m/gateSets/g'"});
  const SeerctlOutput output =
      Run({"calibrate", "--dataset=d", "--design=mean_pool"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(creations_[0].calibration_job().ShortDebugString(),
            "dataset: \"datasets/d\" design: \"mean_pool\"");
  EXPECT_EQ(output.err,
            "queued\nprofiling: 812 tokens/s, 4m10s left\nsucceeded\n");
  EXPECT_THAT(output.out,
              HasSubstr("none: a profile of sequences of 4096 tokens, seed 3"));
}

TEST_F(SeerctlAdminTest, CalibrateDetaches) {
  const SeerctlOutput output =
      Run({"calibrate", "--dataset=d", "--detach", "--target=root_mass"});
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_EQ(creations_[0].calibration_job().target(),
            v1::CALIBRATION_TARGET_ROOT_MASS);
  EXPECT_EQ(output.out, "calibrationJobs/7\n");
  EXPECT_EQ(output.err, "");
}

TEST_F(SeerctlAdminTest, JobsThatFailAreErrors) {
  Watch(
      {"name: 'calibrationJobs/7' state: 5 failure { reason: 'DIVERGED' "
       "message: 'not finite' }"});
  const SeerctlOutput output =
      Run({"calibrate", "--dataset=d", "--activate", "--quiet"});
  EXPECT_EQ(output.exit_code, kExitFailed);
  EXPECT_EQ(output.out, "");
  EXPECT_EQ(output.err,
            "seerctl: ABORTED: calibrationJobs/7 failed: not finite (reason "
            "DIVERGED)\n");
  EXPECT_EQ(num_changes_, 0);
}

TEST_F(SeerctlAdminTest, AWatchThatBreaksIsTakenUpAgain) {
  int num_streams = 0;
  script_.watch_job = [&](auto&, const auto&, auto& writer) {
    writer.Write(
        Parse<v1::CalibrationJob>(++num_streams < 4 ? kTraining : kSucceeded));
    return num_streams < 3 ? grpc::Status(grpc::UNAVAILABLE, "went away")
                           : grpc::Status::OK;
  };
  // More breaks than tries, but each stream has shown something.
  EXPECT_EQ(Run({"jobs", "watch", "7", "--retries=1"}).exit_code, 0);
  EXPECT_EQ(num_streams, 4);
  num_streams = 0;
  const SeerctlOutput gone =
      Run({"jobs", "watch", "7", "--retries=0", "--quiet"});
  EXPECT_EQ(gone.exit_code, kExitUnavailable);
  EXPECT_EQ(gone.err,
            "seerctl: UNAVAILABLE: went away; calibrationJobs/7 goes on; see "
            "seerctl jobs watch, pause or cancel calibrationJobs/7\n");
}

TEST_F(SeerctlAdminTest, ActivateMeetsChangesThatChangeNothing) {
  before_change_ = {[&] { rollout_.set_etag("2"); }};
  const SeerctlOutput output = Run({"gates", "activate", "b"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(rollout_.stable(), "models/m/gateSets/b");
  EXPECT_EQ(num_changes_, 2);
  // It is: nothing to change.
  EXPECT_EQ(Run({"gates", "activate", "b"}).exit_code, 0);
  EXPECT_EQ(num_changes_, 2);
}

TEST_F(SeerctlAdminTest, ActivateUndoesNobodysChange) {
  before_change_ = {[&] {
    rollout_.set_stable("models/m/gateSets/c");
    rollout_.set_etag("2");
  }};
  const SeerctlOutput output = Run({"gates", "activate", "b"});
  EXPECT_EQ(output.exit_code, kExitFailed);
  EXPECT_EQ(output.err,
            "seerctl: ABORTED: the rollout was changed meanwhile: stable "
            "models/m/gateSets/c, canary none, of 0 of the requests; nothing "
            "was changed by this call\n");
  EXPECT_EQ(num_changes_, 1);
  EXPECT_EQ(rollout_.stable(), "models/m/gateSets/c");
}

TEST_F(SeerctlAdminTest, ChangesWhoseAnswerIsLostAreMadeOnce) {
  lose_answer_ = true;
  EXPECT_EQ(Run({"gates", "activate", "b", "--canary=0.5"}).exit_code, 0);
  EXPECT_EQ(rollout_.etag(), "1+");
  lose_answer_ = true;
  EXPECT_EQ(Run({"gates", "promote"}).exit_code, 0);
  EXPECT_EQ(rollout_.etag(), "1++");
  EXPECT_EQ(rollout_.stable(), "models/m/gateSets/b");
  EXPECT_EQ(rollout_.canary(), "");
  EXPECT_EQ(Run({"gates", "promote"}).exit_code, kExitRefused);
  lose_answer_ = true;
  EXPECT_EQ(Run({"gates", "rollback"}).exit_code, 0);
  EXPECT_EQ(rollout_.etag(), "1+++");
  EXPECT_EQ(rollout_.stable(), "models/m/gateSets/a");
}

TEST_F(SeerctlAdminTest, SendsTheToken) {
  EXPECT_EQ(Run({"gates", "rollout"}).exit_code, 0);
  EXPECT_EQ(authorization_, "");
  const std::string token = WriteFile("token", "s3cret\n");
  EXPECT_EQ(Run({"gates", "rollout", "--admin_token_file=" + token}).exit_code,
            0);
  EXPECT_EQ(authorization_, "Bearer s3cret");
}

TEST_F(SeerctlAdminTest, ListsAllPages) {
  script_.list_datasets = [](const auto& request, auto* response) {
    const bool first = request.page_token().empty();
    response->add_datasets()->set_name(first ? "datasets/2" : "datasets/1");
    response->mutable_datasets(0)->set_size(1536);
    response->set_next_page_token(first ? "more" : "");
    return grpc::Status::OK;
  };
  script_.list_jobs = [](const auto&, auto*) { return grpc::Status::OK; };
  EXPECT_EQ(Run({"dataset", "list"}).out,
            "NAME        DOCUMENTS  TOKENS  SIZE     CREATED               "
            "LABEL\n"
            "datasets/2  0          -       1.5 KiB  1970-01-01T00:00:00Z\n"
            "datasets/1  0          -       1.5 KiB  1970-01-01T00:00:00Z\n");
  const Json json = Json::parse(Run({"dataset", "list", "--json"}).out);
  EXPECT_EQ(json["datasets"][1]["name"], "datasets/1");
  EXPECT_TRUE(json["datasets"][1]["num_tokens"].is_null());
  EXPECT_EQ(Run({"jobs", "list"}).out, "none\n");
}

TEST_F(SeerctlAdminTest, GateSetsGoBothWays) {
  const std::string bytes = "not really a gate set";
  script_.get_gate_set = [&](const auto&, v1::GateSet* gate_set) {
    gate_set->set_sha256(Sha256Hex(
        {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
    return grpc::Status::OK;
  };
  int num_downloads = 0;
  script_.download_gate_set = [&](const auto& request, auto& writer) {
    EXPECT_EQ(request.name(), "models/-/gateSets/g");
    ++num_downloads;
    for (size_t i = 0; i < bytes.size(); i += 8) {
      v1::DownloadGateSetResponse chunk;
      chunk.set_offset(static_cast<int64_t>(i));
      chunk.set_data(bytes.substr(i, 8));
      // The first time, the second chunk is damaged.
      chunk.set_crc32c(Crc32c(chunk.data()) + (num_downloads == 1 && i == 8));
      writer.Write(chunk);
    }
    return grpc::Status::OK;
  };
  script_.validate_gate_set = [](const auto&, auto* response) {
    response->mutable_problem()->set_reason("OTHER_MODEL");
    return grpc::Status::OK;
  };
  const std::string path = WriteFile("gate", bytes);
  const SeerctlOutput up = Run({"gates", "upload", path, "--json"});
  EXPECT_EQ(Json::parse(up.out)["name"], "models/m/gateSets/1");
  EXPECT_EQ(uploads_.creations()[0].upload().kind(), v1::UPLOAD_KIND_GATE_SET);
  EXPECT_EQ(Run({"gates", "download", "g", path + ".copy"}).exit_code, 0);
  EXPECT_EQ(num_downloads, 2);
  EXPECT_EQ(ReadFile(path + ".copy"), bytes);
  const SeerctlOutput invalid = Run({"gates", "validate", "g"});
  EXPECT_EQ(invalid.exit_code, kExitRefused);
  EXPECT_THAT(invalid.err, HasSubstr("reason OTHER_MODEL"));
}

TEST(SeerctlAdminUsageTest, WrongUsageIsCaughtHere) {
  const auto error = [](std::vector<std::string> args) {
    const SeerctlOutput output = RunSeerctlOn(args);
    EXPECT_EQ(output.exit_code, kExitUsage);
    EXPECT_EQ(output.out, "");
    return output.err;
  };
  const std::string broken = WriteFile("broken.txt", "a\xff");
  EXPECT_EQ(error({"dataset"}),
            "seerctl: unknown command \"dataset\" (see seerctl dataset "
            "--help)\n");
  EXPECT_EQ(error({"dataset", "lost"}),
            "seerctl: unknown command \"dataset lost\" (see seerctl dataset "
            "--help)\n");
  EXPECT_THAT(error({"calibrate"}), HasSubstr("no FILE is given"));
  EXPECT_THAT(error({"calibrate", "x", "--dataset=d"}),
              HasSubstr("--dataset goes with no FILE"));
  EXPECT_THAT(error({"calibrate", "--dataset=d", "--activate", "--canary=1"}),
              HasSubstr("give one of"));
  EXPECT_THAT(error({"calibrate", "--dataset=d", "--detach", "--activate"}),
              HasSubstr("--detach goes with none"));
  EXPECT_THAT(error({"calibrate", "--dataset=d", "--target=min"}),
              HasSubstr("must be max, mass or root_mass"));
  EXPECT_THAT(error({"dataset", "upload", "-", "-"}), HasSubstr("only once"));
  EXPECT_THAT(error({"dataset", "upload", "/nowhere"}), HasSubstr("/nowhere"));
  EXPECT_THAT(error({"dataset", "upload", broken}),
              HasSubstr("not valid UTF-8 at byte 1"));
  EXPECT_THAT(error({"dataset", "upload", broken, "--format=token_ids"}),
              HasSubstr("4 bytes each"));
  EXPECT_THAT(error({"dataset", "upload", broken, "--format=pdf"}),
              HasSubstr("must be auto, text"));
  EXPECT_THAT(error({"gates", "download", "g"}), HasSubstr("NAME FILE"));
  EXPECT_THAT(error({"jobs", "list", "x"}), HasSubstr("no arguments"));
  EXPECT_THAT(error({"jobs", "list",
                     "--admin_token_file=" + WriteFile("blank", " \n")}),
              HasSubstr("holds no token"));
  EXPECT_THAT(error({"status", "--admin_token_file=x"}),
              HasSubstr("unknown flag"));
}

TEST(SeerctlAdminUsageTest, CommandsOfTwoWordsHaveHelp) {
  EXPECT_THAT(RunSeerctlOn({"gates", "--help"}).out,
              AllOf(HasSubstr("gates activate"), Not(HasSubstr("jobs"))));
  EXPECT_THAT(RunSeerctlOn({"help", "gates", "activate"}).out,
              AllOf(StartsWith("Usage: seerctl gates activate"),
                    HasSubstr("default 127.0.0.1:8472")));
}

}  // namespace
}  // namespace seer
