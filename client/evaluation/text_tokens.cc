#include "client/evaluation/text_tokens.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/flags/text_input.h"

namespace seer {
namespace {

namespace fs = std::filesystem;

// The files that `path` stands for.
absl::StatusOr<std::vector<std::string>> FilesAt(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::directory_iterator it(path, error);
  while (!error && it != fs::directory_iterator()) {
    std::error_code unknown_type;
    if (it->is_regular_file(unknown_type) &&
        !absl::StartsWith(it->path().filename().string(), ".")) {
      files.push_back(it->path().string());
    }
    it.increment(error);
  }
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", path, ": ", error.message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<std::vector<int32_t>> Tokenize(const CompletionClient& client,
                                              const std::string& text,
                                              bool add_special,
                                              const CallOptions& options) {
  v1::TokenizeRequest request;
  request.set_text(text);
  request.set_add_special(add_special);
  SEER_ASSIGN_OR_RETURN(const v1::TokenizeResponse response,
                        client.Tokenize(request, options));
  return std::vector<int32_t>(response.token_ids().begin(),
                              response.token_ids().end());
}

}  // namespace

absl::StatusOr<std::vector<TextFile>> ReadTexts(
    absl::Span<const std::string> paths) {
  std::vector<TextFile> texts;
  std::set<std::string> names;
  for (const std::string& path : paths) {
    SEER_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesAt(path));
    for (const std::string& file : files) {
      TextFile text;
      text.name = fs::path(file).stem().string();
      if (!names.insert(text.name).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("two texts are called ", text.name));
      }
      SEER_ASSIGN_OR_RETURN(text.content, ReadTextFile(file));
      SEER_RETURN_IF_ERROR(CheckUtf8(file, text.content));
      texts.push_back(std::move(text));
    }
  }
  if (texts.empty()) return absl::InvalidArgumentError("no texts are given");
  return texts;
}

absl::StatusOr<std::vector<int32_t>> TokensOf(const CompletionClient& client,
                                              const std::string& text,
                                              const CallOptions& options) {
  return Tokenize(client, text, /*add_special=*/false, options);
}

absl::StatusOr<std::vector<int32_t>> BeginTokens(const CompletionClient& client,
                                                 const CallOptions& options) {
  SEER_ASSIGN_OR_RETURN(std::vector<int32_t> with,
                        Tokenize(client, "a", /*add_special=*/true, options));
  SEER_ASSIGN_OR_RETURN(const std::vector<int32_t> without,
                        TokensOf(client, "a", options));
  with.resize(with.size() - std::min(with.size(), without.size()));
  return with;
}

}  // namespace seer
