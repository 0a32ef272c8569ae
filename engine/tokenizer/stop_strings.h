// Ends a text at the first of many stop strings, wherever its pieces break.
#ifndef SEER_ENGINE_TOKENIZER_STOP_STRINGS_H_
#define SEER_ENGINE_TOKENIZER_STOP_STRINGS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/text/byte_trie.h"

namespace seer {

// A set of stop strings, compiled (Aho and Corasick, 1975): reading a byte
// costs the same for one string as for thousands. Immutable, thread-safe, one
// for all choices of a request.
class StopStrings {
 public:
  // May be empty. INVALID_ARGUMENT: an empty string or one that is not valid
  // UTF-8, by its index. Memory is linear in the strings' bytes.
  static absl::StatusOr<std::shared_ptr<const StopStrings>> Make(
      absl::Span<const std::string> strings);

  bool empty() const { return strings_.empty(); }
  const std::string& string(size_t index) const { return strings_[index]; }

 private:
  friend class StopStringMatcher;

  StopStrings() = default;

  void LinkSuffixes();

  // The node of the longest prefix of any string that ends with `byte` after
  // what leads to `node`.
  int32_t Next(int32_t node, unsigned char byte) const;

  std::vector<std::string> strings_;
  ByteTrie trie_;                  // values index strings_
  std::vector<int32_t> failures_;  // by node: that of its longest proper suffix
  std::vector<int32_t> matches_;   // by node: the longest string that ends here
};

// Reads one output stream. Text that may be the start of a stop string is held
// back until it is not, so no part of a stop string is ever given out. The
// result does not depend on how the text is cut into pieces: the stop string
// that ends first wins, the longest of those that end together. Not
// thread-safe.
class StopStringMatcher {
 public:
  struct Result {
    std::string text;            // safe to give out
    std::optional<size_t> stop;  // index of the stop string found
  };

  explicit StopStringMatcher(std::shared_ptr<const StopStrings> strings);

  // `text` is valid UTF-8, and so is the result's. After a stop was found
  // nothing may be pushed but what is to be ignored: the result is empty.
  Result Push(absl::string_view text);

  // The end of the stream without a stop: what is held back, given out.
  std::string Flush();

  // Whether text is held back, so that a stop may still be completed.
  bool holding() const { return !held_.empty(); }

 private:
  std::shared_ptr<const StopStrings> strings_;
  int32_t node_ = 0;
  std::string held_;  // what leads to node_: the last bytes read
  bool stopped_ = false;
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_STOP_STRINGS_H_
