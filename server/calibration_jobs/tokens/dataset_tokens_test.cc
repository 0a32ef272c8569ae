#include "server/calibration_jobs/tokens/dataset_tokens.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/fault_point.h"
#include "engine/errors.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/engine/tiny/tiny_tokenizer.h"
#include "tests/testing/server/temporary_catalog.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

class DatasetTokensTest : public testing::Test {
 protected:
  ~DatasetTokensTest() override { SetFaultHook(nullptr); }

  Dataset Write(UploadFormat format, const std::string& content) {
    Dataset dataset;
    dataset.format = format;
    dataset.path = files_.path() + "/dataset";
    std::ofstream(dataset.path, std::ios::binary) << content;
    return dataset;
  }
  absl::StatusOr<std::shared_ptr<const TokenFile>> Tokenize(
      const Dataset& dataset, bool cancelled = false) {
    TokenizingOptions options;
    options.folder = scratch_.path();
    options.sequence_len = 4;
    options.vocab_size = tokenizer_->vocab_size();
    return TokenizeDataset(dataset, *tokenizer_, options,
                           [cancelled] { return cancelled; });
  }
  // All ids that are in whole sequences.
  static std::vector<TokenId> Ids(const TokenFile& file) {
    std::vector<TokenId> ids;
    for (int64_t i = 0; i < file.num_sequences(); ++i) {
      const std::vector<TokenId> sequence = file.Read(i).value();
      EXPECT_EQ(sequence.size(), 4u);
      ids.insert(ids.end(), sequence.begin(), sequence.end());
    }
    return ids;
  }
  size_t NumScratchFiles() {
    const std::filesystem::directory_iterator files(scratch_.path());
    return std::distance(begin(files), end(files));
  }

  const std::unique_ptr<const Tokenizer> tokenizer_ = LoadTinyTokenizer();
  TemporaryFolder files_;
  TemporaryFolder scratch_;
};

TEST_F(DatasetTokensTest, DocumentsAreSeparatedAndControlTokensStayText) {
  const auto file =
      Tokenize(Write(UploadFormat::kJsonLines,
                     "{\"text\":\"one <|im_end|>\"}\n{\"text\":\"two\"}\n"))
          .value();
  std::vector<TokenId> expected =
      tokenizer_->Encode("one <|im_end|>", {}).value();
  EXPECT_GT(expected.size(), 5u);  // it was not taken for the control token
  expected.push_back(kTinyLlamaEndOfText);
  const std::vector<TokenId> second = tokenizer_->Encode("two", {}).value();
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(file->num_tokens(), static_cast<int64_t>(expected.size()));
  expected.resize(expected.size() / 4 * 4);
  EXPECT_EQ(Ids(*file), expected);
  EXPECT_EQ(file->Read(file->num_sequences()).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(NumScratchFiles(), 0u);
}

// Longer than the reader's parts.
TEST_F(DatasetTokensTest, ALongTextIsAsTokenizedInOne) {
  std::string text;
  while (text.size() < (size_t{5} << 19)) text += "Some words in a line.\n";
  const auto file = Tokenize(Write(UploadFormat::kText, text)).value();
  std::vector<TokenId> expected = tokenizer_->Encode(text, {}).value();
  ASSERT_EQ(file->num_tokens(), static_cast<int64_t>(expected.size()));
  expected.resize(expected.size() / 4 * 4);
  EXPECT_TRUE(Ids(*file) == expected);
}

TEST_F(DatasetTokensTest, TokenIdsStayAsTheyAre) {
  const std::vector<int32_t> records = {5, 6, -1, 7, 8};
  Dataset dataset =
      Write(UploadFormat::kTokenIds,
            std::string(reinterpret_cast<const char*>(records.data()),
                        records.size() * sizeof(records[0])));
  const auto file = Tokenize(dataset).value();
  EXPECT_EQ(Ids(*file), (std::vector<TokenId>{5, 6, 7, 8}));
}

TEST_F(DatasetTokensTest, SaysWhatIsWrong) {
  const auto reason = [](const auto& result) {
    return ReasonTextOf(result.status());
  };
  Dataset dataset = Write(UploadFormat::kText, "not \xff UTF-8");
  EXPECT_EQ(reason(Tokenize(dataset)), "DATASET_DAMAGED");
  std::filesystem::remove(dataset.path);
  EXPECT_EQ(reason(Tokenize(dataset)), "DATASET_DAMAGED");
  dataset = Write(UploadFormat::kText, "some text");
  EXPECT_EQ(Tokenize(dataset, /*cancelled=*/true).status().code(),
            absl::StatusCode::kCancelled);
  SetFaultHook([](const char* point) {
    return std::string(point) == "scratch.write" ? ENOSPC : 0;
  });
  EXPECT_EQ(reason(Tokenize(dataset)), "DISK_FULL");
  SetFaultHook([](const char* point) {
    return std::string(point) == "scratch.open" ? EROFS : 0;
  });
  EXPECT_EQ(reason(Tokenize(dataset)), "READ_ONLY");
}

TEST_F(DatasetTokensTest, NeedsNoFilesWithoutNames) {
  SetFaultHook([](const char* point) {
    return std::string(point) == "scratch.open" ? EOPNOTSUPP : 0;
  });
  const auto file = Tokenize(Write(UploadFormat::kText, "some text")).value();
  EXPECT_GT(file->num_tokens(), 0);
  EXPECT_EQ(NumScratchFiles(), 0u);
}

}  // namespace
}  // namespace seer
