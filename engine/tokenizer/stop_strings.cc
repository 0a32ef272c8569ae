#include "engine/tokenizer/stop_strings.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/text/byte_trie.h"
#include "base/text/utf8.h"

namespace seer {

absl::StatusOr<std::shared_ptr<const StopStrings>> StopStrings::Make(
    absl::Span<const std::string> strings) {
  std::shared_ptr<StopStrings> stops = absl::WrapUnique(new StopStrings);
  stops->strings_.assign(strings.begin(), strings.end());
  for (size_t i = 0; i < strings.size(); ++i) {
    if (strings[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("stop string ", i, " is empty"));
    }
    if (FirstInvalidUtf8(strings[i]) != strings[i].size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("stop string ", i, " is not valid UTF-8"));
    }
    stops->trie_.Insert(strings[i], static_cast<int32_t>(i));
  }
  stops->LinkSuffixes();
  return std::shared_ptr<const StopStrings>(std::move(stops));
}

// Suffixes are shorter than what they are suffixes of, so nodes are taken by
// depth.
void StopStrings::LinkSuffixes() {
  const int32_t num_nodes = trie_.num_nodes();
  failures_.assign(num_nodes, ByteTrie::kRoot);
  matches_.assign(num_nodes, ByteTrie::kNone);
  std::vector<std::vector<int32_t>> by_depth;
  for (int32_t node = 1; node < num_nodes; ++node) {
    const size_t depth = trie_.Depth(node);
    if (by_depth.size() <= depth) by_depth.resize(depth + 1);
    by_depth[depth].push_back(node);
  }
  for (const std::vector<int32_t>& nodes : by_depth) {
    for (const int32_t node : nodes) {
      const int32_t parent = trie_.Parent(node);
      if (parent != ByteTrie::kRoot) {
        failures_[node] = Next(failures_[parent], trie_.LastByte(node));
      }
      matches_[node] = trie_.Value(node) != ByteTrie::kNone
                           ? trie_.Value(node)
                           : matches_[failures_[node]];
    }
  }
}

int32_t StopStrings::Next(int32_t node, unsigned char byte) const {
  while (true) {
    const int32_t child = trie_.Child(node, byte);
    if (child != ByteTrie::kNone) return child;
    if (node == ByteTrie::kRoot) return node;
    node = failures_[node];
  }
}

StopStringMatcher::StopStringMatcher(std::shared_ptr<const StopStrings> strings)
    : strings_(std::move(strings)) {}

StopStringMatcher::Result StopStringMatcher::Push(absl::string_view text) {
  Result result;
  if (stopped_) return result;
  std::string read = std::move(held_);
  held_.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    node_ = strings_->Next(node_, static_cast<unsigned char>(text[i]));
    const int32_t match = strings_->matches_[node_];
    if (match == ByteTrie::kNone) continue;
    stopped_ = true;
    result.stop = static_cast<size_t>(match);
    read.append(text.data(), i + 1);
    read.resize(read.size() - strings_->string(match).size());
    result.text = std::move(read);
    return result;
  }
  read.append(text.data(), text.size());
  const size_t held_len = strings_->trie_.Depth(node_);
  held_ = read.substr(read.size() - held_len);
  read.resize(read.size() - held_len);
  result.text = std::move(read);
  return result;
}

std::string StopStringMatcher::Flush() {
  node_ = ByteTrie::kRoot;
  return std::exchange(held_, std::string());
}

}  // namespace seer
