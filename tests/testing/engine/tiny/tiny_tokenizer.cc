#include "tests/testing/engine/tiny/tiny_tokenizer.h"

#include <stdlib.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

void CheckOk(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "tiny tokenizer: %s\n", status.ToString().c_str());
  abort();
}

}  // namespace

std::unique_ptr<const Tokenizer> LoadTinyTokenizer() {
  std::string folder = ::testing::TempDir() + "/tiny_tokenizer_XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    CheckOk(absl::InternalError("cannot make " + folder));
  }
  CheckOk(WriteTinyLlama(folder, TinyLlamaOptions()));
  auto tokenizer = Tokenizer::Load(folder);
  CheckOk(tokenizer.status());
  return *std::move(tokenizer);
}

}  // namespace seer
