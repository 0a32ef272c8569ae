#include "base/text/json_view.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

TEST(ParseJsonTest, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "{\"a\":}", "\"\xFF\"", "[1,]", "nope"}) {
    const auto json = ParseJson(text, "a.json");
    ASSERT_FALSE(json.ok()) << text;
    EXPECT_EQ(json.status().message(), "a.json: not valid JSON");
  }
}

TEST(ParseJsonTest, SurvivesDeepNesting) {
  EXPECT_FALSE(ParseJson(std::string(100000, '['), "a.json").ok());
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_TRUE(ParseJson(deep, "a.json").ok());
}

class JsonViewTest : public testing::Test {
 protected:
  JsonViewTest()
      : json_(*ParseJson(
            R"({"n": 3, "x": 1.5, "b": true, "s": "text", "none": null,
                "a": [1, "two"], "o": {"inner": {"deep": -1}},
                "big": 18446744073709551615})",
            "a.json")),
        root_(&json_, "a.json") {}

  nlohmann::json json_;
  JsonView root_;
};

TEST_F(JsonViewTest, ReadsEachType) {
  EXPECT_EQ(*root_["n"].Int64(), 3);
  EXPECT_EQ(*root_["n"].Number(), 3.0);
  EXPECT_EQ(*root_["x"].Number(), 1.5);
  EXPECT_TRUE(*root_["b"].Bool());
  EXPECT_EQ(*root_["s"].String(), "text");
  EXPECT_EQ(*root_["o"]["inner"]["deep"].Int64(), -1);
  const auto array = root_["a"].Array();
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(*(*array)[1].String(), "two");
  EXPECT_TRUE(root_["none"].IsNull());
  EXPECT_TRUE(root_["missing"].IsNull());
}

TEST_F(JsonViewTest, ErrorsNameThePlaceAndTheValue) {
  EXPECT_EQ(root_["s"].Int64().status().message(),
            "a.json: s: want an integer, got \"text\"");
  EXPECT_EQ(root_["x"].Int64().status().message(),
            "a.json: x: want an integer, got 1.5");
  EXPECT_EQ(root_["big"].Int64().status().message(),
            "a.json: big: want a 64-bit integer, got 18446744073709551615");
  EXPECT_EQ(root_["o"]["inner"]["gone"].Number().status().message(),
            "a.json: o.inner.gone: missing");
  EXPECT_EQ((*root_["a"].Array())[0].String().status().message(),
            "a.json: a[0]: want a string, got 1");
  EXPECT_EQ(root_["n"]["under"].Bool().status().message(),
            "a.json: n.under: missing");
  EXPECT_EQ(root_["a"].CheckObject().message(),
            "a.json: a: want an object, got an array");
  EXPECT_EQ(root_["none"].String().status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
