#include "base/safetensors/dtype.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(SafetensorsDtypeTest, NamesAndSizes) {
  int num_dtypes = 0;
  for (const char* name :
       {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16",
        "I32", "U32", "F32", "I64", "U64", "F64"}) {
    const auto dtype = ParseSafetensorsDtype(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(SafetensorsDtypeName(*dtype), name);
    EXPECT_EQ(static_cast<int>(*dtype), num_dtypes++);
  }
  EXPECT_EQ(SafetensorsDtypeSize(SafetensorsDtype::kBool), 1);
  EXPECT_EQ(SafetensorsDtypeSize(SafetensorsDtype::kBF16), 2);
  EXPECT_EQ(SafetensorsDtypeSize(SafetensorsDtype::kF32), 4);
  EXPECT_EQ(SafetensorsDtypeSize(SafetensorsDtype::kI64), 8);
  EXPECT_FALSE(ParseSafetensorsDtype("f32").has_value());
}

TEST(SafetensorsDtypeTest, ByteSizeIsChecked) {
  const auto f32 = SafetensorsDtype::kF32;
  EXPECT_EQ(SafetensorsByteSize(f32, {}), 4u);
  EXPECT_EQ(SafetensorsByteSize(f32, {2, 3}), 24u);
  EXPECT_EQ(SafetensorsByteSize(f32, {2, 0}), 0u);
  EXPECT_FALSE(SafetensorsByteSize(f32, {-1}).has_value());
  EXPECT_FALSE(SafetensorsByteSize(f32, {int64_t{1} << 31, int64_t{1} << 31}));
}

}  // namespace
}  // namespace seer
