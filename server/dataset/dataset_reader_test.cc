#include "server/dataset/dataset_reader.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kVocabSize = 300;
constexpr size_t kMiB = size_t{1} << 20;

class DatasetReaderTest : public testing::Test {
 protected:
  std::string Write(absl::string_view content) {
    const std::string path = folder_.path() + "/dataset";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // The documents, their parts joined. An error is what the reader answered.
  absl::StatusOr<std::vector<Document>> ReadAll(absl::string_view content,
                                                UploadFormat format) {
    auto reader = DatasetReader::Open(Write(content), format, kVocabSize);
    if (!reader.ok()) return reader.status();
    std::vector<Document> documents;
    bool continues = false;
    while (true) {
      Document part;
      const absl::StatusOr<bool> any = (*reader)->Next(part);
      if (!any.ok()) return any.status();
      if (!*any) break;
      EXPECT_FALSE(part.text.empty() && part.token_ids.empty());
      EXPECT_LE(part.text.size(), 16 * kMiB);
      if (!continues) documents.emplace_back();
      Document& document = documents.back();
      document.text += part.text;
      document.token_ids.insert(document.token_ids.end(),
                                part.token_ids.begin(), part.token_ids.end());
      continues = part.continues;
    }
    EXPECT_FALSE(continues) << "the last part says that there is more";
    return documents;
  }
  std::vector<std::string> Texts(absl::string_view content,
                                 UploadFormat format) {
    const auto documents = ReadAll(content, format);
    EXPECT_TRUE(documents.ok()) << documents.status();
    std::vector<std::string> texts;
    if (!documents.ok()) return texts;
    for (const Document& document : *documents) texts.push_back(document.text);
    return texts;
  }
  void ExpectWrong(absl::string_view content, UploadFormat format,
                   absl::string_view where) {
    const absl::Status status = ReadAll(content, format).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(where)));
  }

  TemporaryFolder folder_;
};

std::string Ids(const std::vector<int32_t>& ids) {
  std::string bytes;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(static_cast<uint32_t>(id) >> shift);
    }
  }
  return bytes;
}

TEST_F(DatasetReaderTest, TextsOfAnyLengthAreOneDocument) {
  std::string wide;  // a character's bytes straddle every cut somewhere
  while (wide.size() < 3 * kMiB) absl::StrAppend(&wide, "x\u20ac\U0001f600");
  const std::string lines =
      std::string(kMiB, 'a') + "\n" + std::string(kMiB - 1, 'b');
  for (const std::string& text :
       {std::string("a"), wide, "y" + wide, lines, std::string(kMiB, 'a'),
        std::string(kMiB + 1, 'a'), "a\n" + std::string(kMiB - 1, 'b')}) {
    EXPECT_TRUE(Texts(text, UploadFormat::kText) ==
                std::vector<std::string>{text})
        << text.size() << " bytes";
  }
}

TEST_F(DatasetReaderTest, WrongTextsAreRefusedByTheByte) {
  const std::string long_text(2 * kMiB, 'a');
  ExpectWrong("\xff", UploadFormat::kText, "byte 1 ");
  ExpectWrong(long_text + "b\xc0", UploadFormat::kText,
              absl::StrCat("byte ", 2 * kMiB + 2, " is not UTF-8"));
  ExpectWrong("ab\xe2\x82", UploadFormat::kText, "byte 3 ");
  ExpectWrong(absl::string_view("ab\0c", 4), UploadFormat::kText,
              "byte 3 is NUL");
}

TEST_F(DatasetReaderTest, JsonLinesGiveTheirTexts) {
  EXPECT_THAT(Texts("{\"text\": \"a\\nb\"}\n"
                    "{\"id\": [1, {\"text\": 2}], \"text\": \"\\u20ac\"}\r\n"
                    "{\"text\": \"\"}\n"
                    " {\"text\":\"last\",\"n\":null} ",
                    UploadFormat::kJsonLines),
              ElementsAre("a\nb", "\u20ac", "last"));
}

TEST_F(DatasetReaderTest, WrongLinesAreRefusedByTheirNumber) {
  const std::string good = "{\"text\": \"a\"}\n";
  for (const char* line : {
           "",
           "{\"text\": \"a\"",
           "{\"text\": \"a\"} x",
           "{\"text\": \"\xff\"}",
           "{\"text\": \"\\ud800\"}",
           "{\"text\": 1}",
           "{\"text\": [\"a\"]}",
           "{\"text\": {}}",
           "{\"text\": null}",
           "{\"txt\": \"a\"}",
           "{\"text\": \"a\", \"text\": \"b\"}",
           "{\"a\": {\"text\": \"b\"}}",
           "{\"text\": \"a\", \"n\": 1e999}",
           "\"text\"",
           "[\"text\"]",
           "[[[[[[",
           "\x7f\x45LF",
       }) {
    SCOPED_TRACE(line);
    ExpectWrong(absl::StrCat(good, line, "\n", good), UploadFormat::kJsonLines,
                "line 2 ");
  }
}

TEST_F(DatasetReaderTest, LinesHaveALimit) {
  const std::string frame = "{\"text\": \"\"}";
  const auto line_of = [&](size_t bytes) {
    return absl::StrCat("{\"text\": \"", std::string(bytes - frame.size(), 'a'),
                        "\"}");
  };
  EXPECT_EQ(
      Texts(line_of(16 * kMiB) + "\n" + line_of(20), UploadFormat::kJsonLines)
          .size(),
      2u);
  ExpectWrong(line_of(20) + "\n" + line_of(16 * kMiB + 1),
              UploadFormat::kJsonLines, "line 2 has more than 16777216 bytes");
  // Nothing after the limit is looked at: neither its end nor that it is wrong.
  ExpectWrong(std::string(100'000'000, '\xff'), UploadFormat::kJsonLines,
              "line 1 has more than");
}

TEST_F(DatasetReaderTest, TokenIdsAreSplitAtSeparators) {
  std::vector<int32_t> ids(kMiB, 7);  // more than a part, and than a block
  ids.push_back(8);
  std::vector<int32_t> stored = {-1, 0, 299, -1, -1};
  stored.insert(stored.end(), ids.begin(), ids.end());
  stored.push_back(-1);
  const auto documents = ReadAll(Ids(stored), UploadFormat::kTokenIds);
  ASSERT_TRUE(documents.ok()) << documents.status();
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_THAT((*documents)[0].token_ids, ElementsAre(0, 299));
  EXPECT_TRUE((*documents)[1].token_ids == ids);
  // A document that ends with a part is not said to go on.
  EXPECT_EQ(ReadAll(Ids(std::vector<int32_t>(kMiB / 4, 7)) + Ids({-1, 1}),
                    UploadFormat::kTokenIds)
                .value()
                .size(),
            2u);
}

TEST_F(DatasetReaderTest, WrongTokenIdsAreRefusedByTheirRecord) {
  ExpectWrong(Ids({1, -1, 300}), UploadFormat::kTokenIds, "record 3 is 300");
  ExpectWrong(Ids({1, -2}), UploadFormat::kTokenIds, "record 2 is -2");
  ExpectWrong(Ids({1}) + "ab", UploadFormat::kTokenIds, "multiple of 4");
}

TEST_F(DatasetReaderTest, CanBeCancelledAmongDocumentsThatAreEmpty) {
  std::string lines;
  while (lines.size() < 3 * kMiB) lines += "{\"text\": \"\"}\n";
  const std::string separators = Ids(std::vector<int32_t>(kMiB, -1));
  for (const auto& [content, format] :
       {std::make_pair(lines, UploadFormat::kJsonLines),
        std::make_pair(separators, UploadFormat::kTokenIds)}) {
    int num_asked = 0;
    const absl::Status status =
        InspectDataset(Write(content), format, kVocabSize, [&num_asked] {
          return ++num_asked == 3;
        }).status();
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
}

TEST_F(DatasetReaderTest, InspectionCounts) {
  const auto never = [] { return false; };
  const auto lines =
      InspectDataset(Write("{\"text\": \"a\"}\n{\"text\": \"\"}\n"),
                     UploadFormat::kJsonLines, kVocabSize, never);
  ASSERT_TRUE(lines.ok()) << lines.status();
  EXPECT_EQ(lines->num_documents, 1);
  EXPECT_FALSE(lines->num_tokens.has_value());
  const auto ids = InspectDataset(Write(Ids({1, 2, -1, 3})),
                                  UploadFormat::kTokenIds, kVocabSize, never);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->num_documents, 2);
  EXPECT_EQ(ids->num_tokens, 3);

  EXPECT_TRUE(absl::IsInvalidArgument(InspectDataset(Write(Ids({-1, -1})),
                                                     UploadFormat::kTokenIds,
                                                     kVocabSize, never)
                                          .status()));
  EXPECT_TRUE(absl::IsInvalidArgument(InspectDataset(Write("{\"text\": \"\"}"),
                                                     UploadFormat::kJsonLines,
                                                     kVocabSize, never)
                                          .status()));
  EXPECT_TRUE(absl::IsCancelled(
      InspectDataset(Write("a"), UploadFormat::kText, kVocabSize, [] {
        return true;
      }).status()));
  EXPECT_TRUE(
      absl::IsNotFound(InspectDataset(folder_.path() + "/none",
                                      UploadFormat::kText, kVocabSize, never)
                           .status()));
}

}  // namespace
}  // namespace seer
