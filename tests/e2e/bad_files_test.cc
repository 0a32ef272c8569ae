// Files and flags that cannot be served: the process says so in one log line
// and ends with the exit code of server/serve.h.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_process.h"

namespace seer {
namespace {

using nlohmann::json;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// A safetensors file taken apart.
struct Tensors {
  explicit Tensors(const std::string& file) {
    uint64_t size = 0;
    std::memcpy(&size, file.data(), sizeof(size));
    header = json::parse(file.substr(8, size));
    values = file.substr(8 + size);
  }
  std::string Join() const {
    std::string text = header.dump();
    while (text.size() % 8 != 0) text += ' ';
    const uint64_t size = text.size();
    std::string file(sizeof(size), '\0');
    std::memcpy(file.data(), &size, sizeof(size));
    return file + text + values;
  }
  json header;
  std::string values;
};

constexpr char kTensor[] = "model.layers.0.mlp.up_proj.weight";

struct Case {
  const char* what;
  const char* said;  // a part of the log
  std::function<void(const std::string& folder)> spoil;
};

// Edits the one weight file.
std::function<void(const std::string&)> Weights(
    std::function<void(Tensors&)> edit) {
  return [edit](const std::string& folder) {
    const std::string path = folder + "/model.safetensors";
    Tensors tensors(Read(path));
    edit(tensors);
    Write(path, tensors.Join());
  };
}

std::function<void(const std::string&)> Config(
    std::function<void(json&)> edit) {
  return [edit](const std::string& folder) {
    const std::string path = folder + "/config.json";
    json config = json::parse(Read(path));
    edit(config);
    Write(path, config.dump());
  };
}

std::function<void(const std::string&)> Remove(const std::string& name) {
  return [name](const std::string& folder) {
    ASSERT_EQ(unlink((folder + "/" + name).c_str()), 0) << name;
  };
}

TEST(BadFilesTest, EachEndsTheServerWithItsReason) {
  const std::vector<Case> cases = {
      {"truncated weights", "model.safetensors",
       [](const std::string& folder) {
         const std::string path = folder + "/model.safetensors";
         const std::string file = Read(path);
         Write(path, file.substr(0, file.size() / 2));
       }},
      {"weights cut inside the header", "model.safetensors",
       [](const std::string& folder) {
         const std::string path = folder + "/model.safetensors";
         Write(path, Read(path).substr(0, 50));
       }},
      {"empty weights", "model.safetensors",
       [](const std::string& folder) {
         Write(folder + "/model.safetensors", "");
       }},
      {"oversized weights", "model.safetensors",
       [](const std::string& folder) {
         const std::string path = folder + "/model.safetensors";
         Write(path, Read(path) + std::string(4096, '\0'));
       }},
      {"a header longer than any file", "model.safetensors",
       [](const std::string& folder) {
         const std::string path = folder + "/model.safetensors";
         std::string file = Read(path);
         std::fill(file.begin(), file.begin() + 8, '\xff');
         Write(path, file);
       }},
      {"a tensor of another shape", kTensor, Weights([](Tensors& tensors) {
         json& shape = tensors.header[kTensor]["shape"];
         std::swap(shape[0], shape[1]);
       })},
      {"a shape that its bytes contradict", kTensor,
       Weights([](Tensors& tensors) {
         tensors.header[kTensor]["shape"] = {1, 1};
       })},
      {"a tensor of another name", "renamed", Weights([](Tensors& tensors) {
         tensors.header["renamed"] = tensors.header[kTensor];
         tensors.header.erase(kTensor);
       })},
      {"NaN weights", kTensor, Weights([](Tensors& tensors) {
         const auto offsets = tensors.header[kTensor]["data_offsets"];
         std::fill(tensors.values.begin() + offsets[0].get<int64_t>(),
                   tensors.values.begin() + offsets[1].get<int64_t>(), '\xff');
       })},
      {"no weights", "safetensors", Remove("model.safetensors")},
      {"no config", "config.json", Remove("config.json")},
      {"no tokenizer", "tokenizer.json", Remove("tokenizer.json")},
      {"a config that is no JSON", "config.json",
       [](const std::string& folder) {
         Write(folder + "/config.json", "{\"model_type\": ");
       }},
      {"a config with more layers than weights", "model.layers.2.",
       Config([](json& config) { config["num_hidden_layers"] = 3; })},
      {"a config with fewer layers than weights", "model.layers.1.",
       Config([](json& config) { config["num_hidden_layers"] = 1; })},
      {"a config with other heads", "model.layers.0.self_attn",
       Config([](json& config) { config["num_key_value_heads"] = 4; })},
      {"a config with another vocabulary", "embed_tokens",
       Config([](json& config) { config["vocab_size"] = 999; })},
      {"a config of another architecture", "model", Config([](json& config) {
         config["architectures"] = {"MambaForCausalLM"};
         config["model_type"] = "mamba";
       })},
      {"a config with heads that make no sense", "num_key_value_heads",
       Config([](json& config) { config["num_key_value_heads"] = 0; })},
      {"a tokenizer that is no JSON", "tokenizer",
       [](const std::string& folder) {
         Write(folder + "/tokenizer.json", "no json");
       }},
  };
  for (const Case& c : cases) {
    const std::string folder = NewModel();
    c.spoil(folder);
    ServerProcess server(folder, {});
    EXPECT_FALSE(server.WaitUntilServing()) << c.what;
    EXPECT_EQ(server.WaitForExit(), 3) << c.what << server.Log();
    EXPECT_TRUE(absl::StrContains(server.Log(), c.said))
        << c.what << ": " << server.Log();
  }
}

TEST(BadFilesTest, AMissingFolderIsNamed) {
  ServerProcess server(NewFolder() + "/nothing", {});
  EXPECT_FALSE(server.WaitUntilServing());
  EXPECT_EQ(server.WaitForExit(), 3) << server.Log();
  EXPECT_TRUE(absl::StrContains(server.Log(), "there is no folder /"))
      << server.Log();
  EXPECT_TRUE(absl::StrContains(server.Log(), "/nothing"));
}

TEST(BadFilesTest, AGateSetThatCannotBeServedIsNamed) {
  const std::string folder = NewModel();
  const std::string missing = folder + "/missing.safetensors";
  // A model's weights are no gate set.
  const std::string wrong = folder + "/model.safetensors";
  const std::string truncated = folder + "/truncated.safetensors";
  Write(truncated, Read(wrong).substr(0, 100));
  for (const std::string& file : {missing, wrong, truncated}) {
    ServerProcess server(folder, {"--gate_set=" + file});
    EXPECT_FALSE(server.WaitUntilServing()) << file;
    EXPECT_EQ(server.WaitForExit(), 3) << server.Log();
    EXPECT_TRUE(absl::StrContains(server.Log(), "safetensors")) << file;
  }
}

TEST(BadFilesTest, BadFlagsEndItAtOnce) {
  const std::string folder = NewModel();
  for (const char* flag : {"--dtype=int4",
                           "--num_threads=-1",
                           "--kv_cache_mib=0",
                           "--max_n=0",
                           "--port=70000",
                           "--host=0.0.0.0",
                           "--default_target_sparsity=1",
                           "--default_target_sparsity=0.5",
                           "--drain_seconds=-1",
                           "--log_level=loud",
                           "--tls_certificate_file=/nothing",
                           "--fixed_chunk_tokens=65",
                           "--max_connection_age=0s",
                           "--model=",
                           "--kv_cache_mib=17592186044417",
                           "--grpc_memory_mib=17592186044417",
                           "--model_id=No/Id",
                           "--max_step=0s",
                           "--device=gpu",
                           "--load_format=pickle",
                           "--kv_memory_fraction=1"}) {
    ServerProcess server(folder, {flag});
    EXPECT_FALSE(server.WaitUntilServing()) << flag;
    EXPECT_EQ(server.WaitForExit(), 2) << flag << server.Log();
  }
}

TEST(BadFilesTest, AMissingGpuIsSaid) {
  ServerProcess server(NewModel(), {"--device=cuda:99"});
  EXPECT_FALSE(server.WaitUntilServing());
  EXPECT_EQ(server.WaitForExit(), 3) << server.Log();
  EXPECT_TRUE(absl::StrContains(server.Log(), "FAILED_PRECONDITION"))
      << server.Log();
}

TEST(BadFilesTest, DummyWeightsNeedNoFile) {
  const std::string folder = NewModel();
  ASSERT_EQ(std::remove((folder + "/model.safetensors").c_str()), 0);
  ServerProcess server(folder, {"--load_format=dummy", "--device=cpu"});
  EXPECT_TRUE(server.WaitUntilServing()) << server.Log();
}

TEST(BadFilesTest, BadFlagsAreNamed) {
  const std::string folder = NewModel();
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"--num_threads=-1", "--num_threads must be in [0, 1024], is -1"},
      {"--kv_cache_mib=0", "--kv_cache_mib must be in [1, "},
      {"--host=0.0.0.0", "--allow_insecure_non_loopback"},
      {"--default_target_sparsity=0.5", "needs --gate_set"},
      {"--admin_methods=ListUploads", "needs --state_dir"},
  };
  for (const auto& [flag, said] : cases) {
    ServerProcess server(folder, {flag});
    EXPECT_EQ(server.WaitForExit(), 2);
    EXPECT_TRUE(absl::StrContains(server.Log(), said)) << server.Log();
  }
}

TEST(BadFilesTest, PortFilesSayOnlyWhatIsServed) {
  const std::string path = NewFolder() + "/http_port";
  Write(path, "1\n");  // of an earlier process
  ServerProcess server(NewModel(), {"--http_port_file=" + path});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Log();
  EXPECT_NE(Read(path), "1\n");
  server.Signal(15);
  EXPECT_EQ(server.WaitForExit(), 0) << server.Log();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(BadFilesTest, APortFileIsOfWhoeverServes) {
  const std::string folder = NewModel();
  const std::string path = NewFolder() + "/http_port";
  const std::string flag = "--http_port_file=" + path;
  ServerProcess first(folder, {flag});
  ASSERT_TRUE(first.WaitUntilServing()) << first.Log();
  const std::string of_first = Read(path);
  ServerProcess failed(folder, {flag, absl::StrCat("--port=", first.port())});
  EXPECT_EQ(failed.WaitForExit(), 4) << failed.Log();
  EXPECT_EQ(Read(path), of_first);
  ServerProcess successor(folder, {flag});
  ASSERT_TRUE(successor.WaitUntilServing()) << successor.Log();
  const std::string of_successor = Read(path);
  EXPECT_NE(of_successor, of_first);
  first.Signal(15);
  EXPECT_EQ(first.WaitForExit(), 0) << first.Log();
  EXPECT_EQ(Read(path), of_successor);
}

TEST(BadFilesTest, TheVersionIsOneLine) {
  ServerProcess server(NewModel(), {"--version"});
  EXPECT_EQ(server.WaitForExit(), 0);
  EXPECT_TRUE(absl::StartsWith(server.Log(), "seerserve 0."));
  EXPECT_FALSE(absl::StrContains(server.Log(), "build"));
}

TEST(BadFilesTest, APortInUseIsSaid) {
  const std::string folder = NewModel();
  ServerProcess first(folder, {});
  ASSERT_TRUE(first.WaitUntilServing()) << first.Log();
  ServerProcess second(folder, {absl::StrCat("--port=", first.port())});
  EXPECT_FALSE(second.WaitUntilServing());
  EXPECT_EQ(second.WaitForExit(), 4) << second.Log();
  EXPECT_TRUE(absl::StrContains(second.Log(), "in use")) << second.Log();
  EXPECT_TRUE(absl::StrContains(second.Log(), absl::StrCat(first.port())));
  for (const absl::string_view line :
       absl::StrSplit(second.Log(), '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(json::accept(std::string(line))) << line;
  }
  // HTTP's as well, and the first goes on serving.
  ServerProcess third(folder, {absl::StrCat("--http_port=", first.port())});
  EXPECT_FALSE(third.WaitUntilServing());
  EXPECT_EQ(third.WaitForExit(), 4) << third.Log();
  EXPECT_TRUE(first.GetLoad().accepting());
}

}  // namespace
}  // namespace seer
