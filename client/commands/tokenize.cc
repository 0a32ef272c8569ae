#include "client/commands/tokenize.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/flags/prompt_flags.h"
#include "client/flags/token_ids.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

class TokenizeCommand final : public Command {
 public:
  std::string name() const override { return "tokenize"; }
  std::string summary() const override {
    return "turn text into token ids, or back";
  }
  std::string arguments() const override { return "[flags] [TEXT]"; }
  std::string description() const override {
    return "Prints the ids on one line. With --chat or --system: those of the "
           "conversation as\n`complete` would send it.\n";
  }

  void AddFlags(FlagSet* flags) override {
    prompt_.AddTo(flags);
    prompt_.AddChatTo(flags);
    flags->Add("add_special", &add_special_, "",
               "put the model's begin-of-text token in front, if it has one");
    flags->Add("detokenize", &detokenize_, "",
               "the other way: ids, from where the text would come or in "
               "--prompt_token_ids, to text");
    flags->Add("skip_special", &skip_special_, "",
               "with --detokenize: leave out control tokens");
    flags->Add("count", &count_, "", "print only the number of ids");
  }

  absl::Status Prepare(absl::Span<const std::string> positional,
                       const OutputOptions&, Console& console) override {
    SEER_ASSIGN_OR_RETURN(ids_, prompt_.TokenIds(positional));
    if (ids_.empty()) {
      SEER_ASSIGN_OR_RETURN(text_, prompt_.Text(positional, console.in));
    } else if (!detokenize_) {
      return absl::InvalidArgumentError(
          "--prompt_token_ids needs --detokenize");
    }
    if (detokenize_) {
      if (prompt_.is_chat() || prompt_.parse_special() || add_special_ ||
          count_) {
        return absl::InvalidArgumentError(
            "--detokenize goes with none of --chat, --system, --parse_special, "
            "--add_special, --count");
      }
      if (ids_.empty()) {
        SEER_ASSIGN_OR_RETURN(ids_, ParseTokenIds(text_));
      }
    } else if (skip_special_) {
      return absl::InvalidArgumentError("--skip_special needs --detokenize");
    }
    return absl::OkStatus();
  }

  absl::Status Run(const Session& session) override {
    CallOptions options;
    options.timeout = session.timeout;
    if (detokenize_) return Detokenize(session, options);
    if (prompt_.is_chat()) return ApplyChatTemplate(session, options);
    v1::TokenizeRequest request;
    request.set_text(text_);
    request.set_parse_special(prompt_.parse_special());
    request.set_add_special(add_special_);
    SEER_ASSIGN_OR_RETURN(const v1::TokenizeResponse response,
                          session.client.Tokenize(request, options));
    PrintIds(session,
             {response.token_ids().begin(), response.token_ids().end()},
             Json::object());
    return absl::OkStatus();
  }

 private:
  absl::Status Detokenize(const Session& session, const CallOptions& options) {
    v1::DetokenizeRequest request;
    request.mutable_token_ids()->Assign(ids_.begin(), ids_.end());
    request.set_skip_special(skip_special_);
    SEER_ASSIGN_OR_RETURN(const v1::DetokenizeResponse response,
                          session.client.Detokenize(request, options));
    session.console.out << (session.output.json
                                ? ToText({{"text", response.text()}})
                                : response.text())
                        << std::endl;
    return absl::OkStatus();
  }

  absl::Status ApplyChatTemplate(const Session& session,
                                 const CallOptions& options) {
    v1::ApplyChatTemplateRequest request;
    *request.mutable_chat() = prompt_.Chat(text_);
    SEER_ASSIGN_OR_RETURN(const v1::ApplyChatTemplateResponse response,
                          session.client.ApplyChatTemplate(request, options));
    PrintIds(session,
             {response.token_ids().begin(), response.token_ids().end()},
             {{"text", response.text()}});
    return absl::OkStatus();
  }

  // `json`: what is printed beside the ids with --json.
  void PrintIds(const Session& session, const std::vector<int32_t>& ids,
                Json json) const {
    std::ostream& out = session.console.out;
    if (session.output.json) {
      json["count"] = ids.size();
      if (!count_) json["token_ids"] = ids;
      out << ToText(json) << std::endl;
    } else if (count_) {
      out << ids.size() << std::endl;
    } else {
      out << absl::StrJoin(ids, " ") << std::endl;
    }
  }

  PromptFlags prompt_;
  bool add_special_ = false;
  bool detokenize_ = false;
  bool skip_special_ = false;
  bool count_ = false;
  std::string text_;
  std::vector<int32_t> ids_;
};

}  // namespace

std::unique_ptr<Command> MakeTokenizeCommand() {
  return std::make_unique<TokenizeCommand>();
}

}  // namespace seer
