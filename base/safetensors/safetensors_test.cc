#include "base/safetensors/safetensors.h"

#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A file of that header and that many bytes of data: 0, 1, 2, ...
std::vector<uint8_t> MakeFile(absl::string_view header, int data_size) {
  std::vector<uint8_t> file;
  for (int i = 0; i < 8; ++i) file.push_back(header.size() >> (8 * i) & 0xff);
  file.insert(file.end(), header.begin(), header.end());
  for (int i = 0; i < data_size; ++i) file.push_back(i & 0xff);
  return file;
}

// A header with one tensor, "t".
std::string OneTensor(absl::string_view dtype, absl::string_view shape,
                      absl::string_view offsets) {
  return absl::StrCat("{\"t\":{\"dtype\":", dtype, ",\"shape\":", shape,
                      ",\"data_offsets\":", offsets, "}}");
}

absl::Status ParseError(absl::string_view header, int data_size) {
  return ParseSafetensors(MakeFile(header, data_size)).status();
}

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 absl::string_view message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message)));
}

void ExpectInvalid(absl::string_view header, int data_size,
                   absl::string_view message) {
  SCOPED_TRACE(header);
  ExpectError(ParseError(header, data_size), absl::StatusCode::kInvalidArgument,
              message);
}

TEST(ParseSafetensorsTest, TensorsAndMetadata) {
  const std::vector<uint8_t> file = MakeFile(
      R"({"__metadata__":{"format":"pt"},)"
      R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},)"
      R"("a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},)"
      R"("none":{"dtype":"I64","shape":[3,0],"data_offsets":[8,8]}}   )",
      8);
  const auto contents = ParseSafetensors(file);
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_EQ(contents->tensors.size(), 3u);
  const SafetensorsTensor& a = contents->tensors.at("a");
  EXPECT_EQ(a.dtype, SafetensorsDtype::kF32);
  EXPECT_THAT(a.shape, IsEmpty());
  EXPECT_THAT(a.bytes, ElementsAre(0, 1, 2, 3));
  const SafetensorsTensor& b = contents->tensors.at("b");
  EXPECT_EQ(b.dtype, SafetensorsDtype::kBF16);
  EXPECT_THAT(b.shape, ElementsAre(1, 2));
  EXPECT_THAT(b.bytes, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(contents->tensors.at("none").bytes, IsEmpty());
  EXPECT_EQ(contents->metadata.size(), 1u);
  EXPECT_EQ(contents->metadata.at("format"), "pt");
}

TEST(ParseSafetensorsTest, NoTensors) {
  const auto contents = ParseSafetensors(MakeFile("{}", 0));
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_THAT(contents->tensors, IsEmpty());
  ExpectInvalid("{}", 1, "1 bytes after the last tensor");
}

TEST(ParseSafetensorsTest, EveryTruncationIsRefused) {
  const std::vector<uint8_t> file =
      MakeFile(OneTensor("\"F32\"", "[4]", "[0,16]"), 16);
  ASSERT_TRUE(ParseSafetensors(file).ok());
  for (size_t size = 0; size < file.size(); ++size) {
    // A copy of that very size: the sanitizer sees any read beyond it.
    const std::vector<uint8_t> cut(file.begin(), file.begin() + size);
    EXPECT_EQ(ParseSafetensors(cut).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  ExpectError(ParseError(OneTensor("\"F32\"", "[4]", "[0,16]"), 15),
              absl::StatusCode::kDataLoss, "tensor \"t\": ends at byte 16");
}

TEST(ParseSafetensorsTest, OversizedHeader) {
  std::vector<uint8_t> file = MakeFile("{}", 0);
  file[7] = 0xff;
  ExpectError(ParseSafetensors(file).status(),
              absl::StatusCode::kInvalidArgument, "over the limit");
  file = MakeFile("{}", 0);
  file[3] = 1;  // 16 MiB, allowed, but not there
  ExpectError(ParseSafetensors(file).status(), absl::StatusCode::kDataLoss,
              "ends inside its header");
}

TEST(ParseSafetensorsTest, HeaderThatIsNoJsonObject) {
  for (const char* header : {"", " {}", "[]", "null", "{", "{}{}", "{} x",
                             "{'a':1}", "{\"\xff\":1}", "{}\n,"}) {
    ExpectInvalid(header, 0, "header: ");
  }
  ExpectInvalid(absl::string_view("{}\0 ", 4), 0, "NUL byte");
  ExpectInvalid("{\"a\"}", 0, "tensor \"a\": not valid JSON at byte 5");
  // Nesting is refused at once, however deep.
  ExpectInvalid("{\"a\":" + std::string(1 << 20, '['), 0,
                "tensor \"a\": unexpected an array");
}

TEST(ParseSafetensorsTest, WrongTypes) {
  for (const char* value : {"1", "\"x\"", "null", "true", "[]", "-1", "0.5"}) {
    ExpectInvalid(absl::StrCat("{\"a\":", value, "}"), 0,
                  "tensor \"a\": unexpected");
    ExpectInvalid(absl::StrCat("{\"__metadata__\":", value, "}"), 0,
                  "__metadata__: unexpected");
  }
  for (const char* value : {"1", "null", "false", "[]", "{}"}) {
    ExpectInvalid(absl::StrCat("{\"__metadata__\":{\"k\":", value, "}}"), 0,
                  "__metadata__: unexpected");
    ExpectInvalid(OneTensor(value, "[1]", "[0,4]"), 4, "tensor \"t\": unexp");
  }
  for (const char* value :
       {"1", "\"[1]\"", "{}", "[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]",
        "[18446744073709551616]", "[1e2]"}) {
    ExpectInvalid(OneTensor("\"F32\"", value, "[0,4]"), 4, "tensor \"t\": un");
    ExpectInvalid(OneTensor("\"F32\"", "[1]", value), 4, "tensor \"t\": un");
  }
}

TEST(ParseSafetensorsTest, DtypesAndFields) {
  ExpectInvalid(OneTensor("\"F33\"", "[1]", "[0,4]"), 4,
                "tensor \"t\": unknown dtype \"F33\"");
  ExpectInvalid(R"({"t":{"shape":[],"data_offsets":[0,4]}})", 4, "no dtype");
  ExpectInvalid(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", 4, "no shape");
  ExpectInvalid(R"({"t":{"dtype":"F32","shape":[]}})", 4, "no data_offsets");
  ExpectInvalid(R"({"t":{"dtype":"F32","stride":[]}})", 4,
                "tensor \"t\": unknown field \"stride\"");
}

TEST(ParseSafetensorsTest, DuplicateKeys) {
  const std::string t =
      R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  ExpectInvalid(absl::StrCat("{", t, ",", t, "}"), 4,
                "tensor \"t\": appears twice");
  ExpectInvalid(R"({"t":{"dtype":"F32","dtype":"F32"}})", 0,
                "tensor \"t\": dtype appears twice");
  ExpectInvalid(R"({"__metadata__":{},"__metadata__":{}})", 0,
                "__metadata__: appears twice");
  ExpectInvalid(R"({"__metadata__":{"k":"1","k":"1"}})", 0,
                "__metadata__: key \"k\" appears twice");
}

TEST(ParseSafetensorsTest, ShapesAndOffsetsThatDisagree) {
  ExpectInvalid(OneTensor("\"F32\"", "[2]", "[0,4]"), 4, "does not fill");
  ExpectInvalid(OneTensor("\"F32\"", "[]", "[0,0]"), 0, "does not fill");
  ExpectInvalid(OneTensor("\"F64\"", "[1]", "[0,4]"), 4,
                "shape [1] of F64 does not fill the 4 bytes");
  ExpectInvalid(OneTensor("\"F32\"", "[1]", "[4,0]"), 4, "backwards");
  ExpectInvalid(OneTensor("\"F32\"", "[1]", "[0]"), 4, "fewer than two");
  ExpectInvalid(OneTensor("\"F32\"", "[1]", "[0,4,8]"), 4, "more than two");
  // 2^62 * 4 bytes is 0 modulo 2^64.
  ExpectInvalid(OneTensor("\"F32\"", "[4611686018427387904]", "[0,0]"), 0,
                "does not fill");
  ExpectInvalid(OneTensor("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0,
                "does not fill");
  ExpectInvalid(OneTensor("\"U8\"", "[9223372036854775808]", "[0,0]"), 0,
                "over 2^63 - 1");
  ExpectInvalid(
      OneTensor("\"U8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1,
      "more than 16 dimensions");
  ExpectError(ParseError(OneTensor("\"U8\"", "[4]",
                                   "[18446744073709551611,"
                                   "18446744073709551615]"),
                         4),
              absl::StatusCode::kDataLoss, "ends at byte");
}

TEST(ParseSafetensorsTest, OverlapsAndHoles) {
  const auto two = [](absl::string_view a, absl::string_view b) {
    return absl::StrCat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", a,
                        R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", b,
                        "}}");
  };
  ASSERT_TRUE(ParseSafetensors(MakeFile(two("[4,8]", "[0,4]"), 8)).ok());
  ExpectInvalid(two("[0,4]", "[2,6]"), 6, "tensor \"b\": starts at byte 2");
  ExpectInvalid(two("[0,4]", "[0,4]"), 4, "inside another tensor");
  ExpectInvalid(two("[0,4]", "[5,9]"), 9, "after bytes of no tensor");
  ExpectInvalid(two("[1,5]", "[5,9]"), 9, "tensor \"a\": starts at byte 1");
  ExpectInvalid(two("[0,4]", "[4,8]"), 9, "1 bytes after the last tensor");
}

TEST(ParseSafetensorsTest, MessagesQuoteNames) {
  const std::string long_name(1000, 'n');
  ExpectInvalid(absl::StrCat("{\"", long_name, "\":1}"), 0,
                absl::StrCat("\"", std::string(128, 'n'), "...\""));
  ExpectInvalid("{\"a\\nb\":1}", 0, "tensor \"a\\nb\"");
}

// Whatever single byte changes, the parser returns: the sanitizers look on.
TEST(ParseSafetensorsTest, RandomDamage) {
  const std::vector<uint8_t> file =
      MakeFile(R"({"__metadata__":{"k":"v"},)"
               R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
               R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}})",
               24);
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> damaged = file;
    for (int i = 0; i <= round % 3; ++i) {
      damaged[random() % (damaged.size() - 24)] =
          static_cast<uint8_t>(random());
    }
    const auto contents = ParseSafetensors(damaged);
    if (!contents.ok()) continue;
    for (const auto& [name, tensor] : contents->tensors) {
      EXPECT_EQ(SafetensorsByteSize(tensor.dtype, tensor.shape),
                tensor.bytes.size());
    }
  }
}

TEST(SafetensorsFileTest, OpensAndFinds) {
  const std::string path = testing::TempDir() + "/opens.safetensors";
  const std::vector<uint8_t> bytes =
      MakeFile(OneTensor("\"U8\"", "[3]", "[0,3]"), 3);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const SafetensorsFile moved = *std::move(file);
  ASSERT_NE(moved.Find("t"), nullptr);
  EXPECT_THAT(moved.Find("t")->bytes, ElementsAre(0, 1, 2));
  EXPECT_EQ(moved.Find("u"), nullptr);
  EXPECT_EQ(moved.tensors().size(), 1u);
  EXPECT_THAT(moved.metadata(), IsEmpty());
}

TEST(SafetensorsFileTest, ErrorsNameThePath) {
  const std::string path = testing::TempDir() + "/damaged.safetensors";
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(path) << "short";
  ExpectError(SafetensorsFile::Open(path).status(), absl::StatusCode::kDataLoss,
              path + ": the file has 5 bytes");
}

}  // namespace
}  // namespace seer
