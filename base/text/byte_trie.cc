#include "base/text/byte_trie.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace seer {

ByteTrie::ByteTrie() : nodes_(1, Node{kNone, kNone, 0, 0}) {
  root_children_.fill(kNone);
}

int32_t ByteTrie::Insert(absl::string_view key, int32_t value) {
  int32_t node = kRoot;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t child = Child(node, byte);
    if (child == kNone) {
      child = num_nodes();
      nodes_.push_back({node, kNone, nodes_[node].depth + 1, byte});
      if (node == kRoot) {
        root_children_[byte] = child;
      } else {
        children_[EdgeKey(node, byte)] = child;
      }
    }
    node = child;
  }
  nodes_[node].value = value;
  return node;
}

ByteTrie::Match ByteTrie::LongestPrefix(absl::string_view text) const {
  Match longest;
  int32_t node = kRoot;
  for (size_t i = 0; i < text.size(); ++i) {
    node = Child(node, static_cast<unsigned char>(text[i]));
    if (node == kNone) break;
    if (Value(node) != kNone) longest = {i + 1, Value(node)};
  }
  return longest;
}

}  // namespace seer
