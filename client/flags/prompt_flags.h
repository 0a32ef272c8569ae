// The prompt of a request, from flags and positional arguments.
#ifndef SEER_CLIENT_FLAGS_PROMPT_FLAGS_H_
#define SEER_CLIENT_FLAGS_PROMPT_FLAGS_H_

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/flags/flag_set.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

class PromptFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);
  // Also --chat and --system.
  void AddChatTo(FlagSet* flags);

  bool is_chat() const { return chat_ || !system_.empty(); }
  bool parse_special() const { return parse_special_; }

  // The text of --prompt_file ("-": of `in`), then the positional argument;
  // both: an empty line between them. INVALID_ARGUMENT: neither, or more than
  // one argument. NOT_FOUND: the file cannot be read.
  absl::StatusOr<std::string> Text(absl::Span<const std::string> positional,
                                   std::istream& in) const;

  // The ids of --prompt_token_ids; none where it is not given.
  // INVALID_ARGUMENT: not ids, or another prompt beside it.
  absl::StatusOr<std::vector<int32_t>> TokenIds(
      absl::Span<const std::string> positional) const;

  // Sets the request's prompt from Text() or TokenIds().
  absl::Status Fill(absl::Span<const std::string> positional, std::istream& in,
                    v1::CompleteRequest* request) const;

  // The conversation that --chat and --system make of a text.
  v1::ChatPrompt Chat(const std::string& text) const;

 private:
  std::string file_;
  std::string token_ids_;
  bool parse_special_ = false;
  bool chat_ = false;
  std::string system_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_PROMPT_FLAGS_H_
