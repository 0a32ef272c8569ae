// Renders chats for the comparison test.
//
//   render_chat FOLDER < REQUESTS > REPLIES
//
// A request is a line of JSON: {"template": Jinja source, "messages": [{"role":
// ..., "content": ...}], "add_generation_prompt": ...}; the template is that of
// the first request. Its reply is a line with the text, as a JSON string.
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::Status Run(const std::string& folder) {
  std::unique_ptr<const Tokenizer> tokenizer;
  for (std::string line; std::getline(std::cin, line);) {
    const nlohmann::json request = nlohmann::json::parse(line);
    if (tokenizer == nullptr) {
      TokenizerFiles files;
      files.tokenizer_json = ReadFile(folder + "/tokenizer.json");
      files.tokenizer_config_json = ReadFile(folder + "/tokenizer_config.json");
      files.chat_template_jinja = request["template"].get<std::string>();
      SEER_ASSIGN_OR_RETURN(tokenizer, Tokenizer::Parse(files));
    }
    SEER_ASSIGN_OR_RETURN(const ChatTemplate chat,
                          ChatTemplate::Make(tokenizer.get()));
    std::vector<ChatMessage> messages;
    for (const nlohmann::json& message : request["messages"]) {
      messages.push_back({message["role"].get<std::string>(),
                          message["content"].get<std::string>()});
    }
    ChatOptions options;
    options.add_generation_prompt =
        request["add_generation_prompt"].get<bool>();
    SEER_ASSIGN_OR_RETURN(const std::string text,
                          chat.RenderText(messages, options));
    std::cout << nlohmann::json(text) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace seer

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: render_chat FOLDER < REQUESTS > REPLIES\n";
    return 2;
  }
  const absl::Status status = seer::Run(argv[1]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
