#include "base/safetensors/safetensors_writer.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/safetensors/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class WriteSafetensorsTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return testing::TempDir() + "/" + name + ".safetensors";
  }

  absl::StatusCode Code(const SafetensorsContents& contents) const {
    return WriteSafetensors(Path("refused"), contents).code();
  }

  const std::vector<uint8_t> bytes_ = {1, 2, 3, 4, 5, 6, 7, 8};
};

TEST_F(WriteSafetensorsTest, ReadsBack) {
  SafetensorsContents contents;
  contents.tensors["small"] = {
      SafetensorsDtype::kU8, {3}, absl::MakeConstSpan(bytes_).subspan(0, 3)};
  contents.tensors["wide"] = {SafetensorsDtype::kF32, {1, 2}, bytes_};
  contents.tensors["scalar"] = {SafetensorsDtype::kF64, {}, bytes_};
  contents.tensors["none \"\\ \u00e9"] = {SafetensorsDtype::kI64, {0}, {}};
  contents.metadata = {{"design", "Q\"avg\""}, {"", "\n"}};
  const std::string path = Path("reads_back");
  ASSERT_TRUE(WriteSafetensors(path, contents).ok());

  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata(), contents.metadata);
  ASSERT_EQ(file->tensors().size(), contents.tensors.size());
  for (const auto& [name, tensor] : contents.tensors) {
    const SafetensorsTensor* const read = file->Find(name);
    ASSERT_NE(read, nullptr) << name;
    EXPECT_EQ(read->dtype, tensor.dtype);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_EQ(read->bytes, tensor.bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(read->bytes.data()) %
                  SafetensorsDtypeSize(tensor.dtype),
              0u)
        << name;
  }
}

TEST_F(WriteSafetensorsTest, BytesOfTheFile) {
  SafetensorsContents contents;
  contents.tensors["t"] = {
      SafetensorsDtype::kU8, {2}, absl::MakeConstSpan(bytes_).subspan(0, 2)};
  const std::string path = Path("bytes");
  ASSERT_TRUE(WriteSafetensors(path, contents).ok());
  std::string header =
      R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  header.resize(56, ' ');
  EXPECT_EQ(ReadFile(path),
            std::string("\x38\0\0\0\0\0\0\0", 8) + header + "\x01\x02");
}

TEST_F(WriteSafetensorsTest, NothingIsAFileToo) {
  const std::string path = Path("nothing");
  ASSERT_TRUE(WriteSafetensors(path, {}).ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->tensors().empty());
}

TEST_F(WriteSafetensorsTest, RefusesWhatTheReaderWould) {
  SafetensorsContents wrong_size;
  wrong_size.tensors["t"] = {SafetensorsDtype::kF32, {3}, bytes_};
  const absl::Status status = WriteSafetensors(Path("refused"), wrong_size);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("tensor \"t\": shape [3] of F32 is not 8 bytes"));

  SafetensorsContents negative;
  negative.tensors["t"] = {SafetensorsDtype::kU8, {-8}, bytes_};
  EXPECT_EQ(Code(negative), absl::StatusCode::kInvalidArgument);

  SafetensorsContents reserved;
  reserved.tensors["__metadata__"] = {SafetensorsDtype::kU8, {8}, bytes_};
  EXPECT_EQ(Code(reserved), absl::StatusCode::kInvalidArgument);

  SafetensorsContents broken_name;
  broken_name.tensors["\xff"] = {SafetensorsDtype::kU8, {8}, bytes_};
  EXPECT_EQ(Code(broken_name), absl::StatusCode::kInvalidArgument);

  SafetensorsContents broken_metadata;
  broken_metadata.metadata["k"] = "\xc3";
  EXPECT_EQ(Code(broken_metadata), absl::StatusCode::kInvalidArgument);
}

TEST_F(WriteSafetensorsTest, MissingFolder) {
  EXPECT_EQ(WriteSafetensors(Path("missing/file"), {}).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace seer
