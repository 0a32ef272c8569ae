// The lists of smollm2_*.json: facts about a model and its tokenizer computed
// outside this project.
#ifndef SEER_TESTS_GOLDEN_TESTS_GOLDEN_ITEMS_H_
#define SEER_TESTS_GOLDEN_TESTS_GOLDEN_ITEMS_H_

#include <string>
#include <vector>

#include "engine/token.h"
#include "nlohmann/json.hpp"

namespace seer {

// Folder of the model that the files are about: --model_dir, the default model
// unless it was given.
std::string GoldenModelDir();

// Of the list `list` of every smollm2_*.json of GoldenDir(), the items that
// hold all of `keys`. A file may lack the list, and an item a key: what is left
// out is printed. Throws what nlohmann throws where a file is not JSON.
std::vector<nlohmann::json> GoldenItems(const std::string& list,
                                        const std::vector<std::string>& keys);

// The value `key` of every such file that has it.
std::vector<nlohmann::json> GoldenValues(const std::string& key);

// The token ids item[key].
std::vector<TokenId> GoldenIds(const nlohmann::json& item, const char* key);

// What to call an item in a failure: its name or text, if it has one.
std::string GoldenName(const nlohmann::json& item);

}  // namespace seer

#endif  // SEER_TESTS_GOLDEN_TESTS_GOLDEN_ITEMS_H_
