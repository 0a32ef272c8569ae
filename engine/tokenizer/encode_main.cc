// Tokenizes texts for the comparison test.
//
//   encode FOLDER < REQUESTS > REPLIES
//
// A request is a line of JSON: {"text": ..., "parse_special": ...,
// "add_special": ...}. Its reply is a line with the ids, as a JSON array.
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "engine/token.h"
#include "engine/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

absl::Status Run(const std::string& folder) {
  SEER_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(folder));
  for (std::string line; std::getline(std::cin, line);) {
    const nlohmann::json request = nlohmann::json::parse(line);
    EncodeOptions options;
    options.parse_special = request["parse_special"].get<bool>();
    options.add_special = request["add_special"].get<bool>();
    SEER_ASSIGN_OR_RETURN(
        const std::vector<TokenId> ids,
        tokenizer->Encode(request["text"].get<std::string>(), options));
    std::cout << nlohmann::json(ids) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: encode FOLDER < REQUESTS > REPLIES\n";
    return 2;
  }
  const absl::Status status = seer::Run(argv[1]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
