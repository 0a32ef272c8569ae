#include "tests/golden_tests/golden_items.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "absl/flags/flag.h"
#include "tests/testing/golden_file.h"

ABSL_FLAG(std::string, model_dir, "external/default_model/model",
          "Hugging Face folder of the model that the files are about.");

namespace seer {
namespace {

using Json = nlohmann::json;

}  // namespace

std::string GoldenModelDir() { return absl::GetFlag(FLAGS_model_dir); }

std::vector<Json> GoldenValues(const std::string& key) {
  std::vector<Json> values;
  for (const std::string& path : GoldenPaths("smollm2_", ".json")) {
    std::ifstream stream(path);
    const Json file = Json::parse(stream);
    if (file.contains(key)) {
      values.push_back(file.at(key));
    } else {
      std::printf("%s: has no %s\n", path.c_str(), key.c_str());
    }
  }
  return values;
}

std::vector<Json> GoldenItems(const std::string& list,
                              const std::vector<std::string>& keys) {
  std::vector<Json> items;
  int num_left_out = 0;
  for (const Json& value : GoldenValues(list)) {
    for (const Json& item : value) {
      if (std::all_of(
              keys.begin(), keys.end(),
              [&item](const std::string& key) { return item.contains(key); })) {
        items.push_back(item);
      } else {
        ++num_left_out;
      }
    }
  }
  if (num_left_out != 0) {
    std::printf("%d items of %s lack one of:", num_left_out, list.c_str());
    for (const std::string& key : keys) std::printf(" %s", key.c_str());
    std::printf("\n");
  }
  return items;
}

std::vector<TokenId> GoldenIds(const Json& item, const char* key) {
  return item.at(key).get<std::vector<TokenId>>();
}

std::string GoldenName(const Json& item) {
  for (const char* key : {"name", "text"}) {
    if (item.contains(key)) return item.at(key).get<std::string>();
  }
  return "an item without a name";
}

}  // namespace seer
