#ifndef SEER_BASE_TEXT_BYTE_TRIE_H_
#define SEER_BASE_TEXT_BYTE_TRIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace seer {

// A set of byte strings as a tree: one node for each of their prefixes. A node
// is an int32_t, the root is kRoot, and nodes are numbered so that a parent
// comes before its children. Reading one byte costs one look-up whatever the
// number of strings.
class ByteTrie {
 public:
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  ByteTrie();

  // Adds `key`, not empty, with `value` >= 0. A key that is there already gets
  // the new value. Returns the key's node.
  int32_t Insert(absl::string_view key, int32_t value);

  // The child of `node` by `byte`, or kNone.
  int32_t Child(int32_t node, unsigned char byte) const {
    if (node == kRoot) return root_children_[byte];
    const auto it = children_.find(EdgeKey(node, byte));
    return it == children_.end() ? kNone : it->second;
  }

  // The value of the key that ends at `node`, or kNone.
  int32_t Value(int32_t node) const { return nodes_[node].value; }

  int32_t Parent(int32_t node) const { return nodes_[node].parent; }
  // The byte that leads from the parent to `node`.
  unsigned char LastByte(int32_t node) const { return nodes_[node].byte; }
  // Bytes from the root.
  int32_t Depth(int32_t node) const { return nodes_[node].depth; }

  int32_t num_nodes() const { return static_cast<int32_t>(nodes_.size()); }

  struct Match {
    size_t len = 0;  // 0: none
    int32_t value = kNone;
  };
  // The longest key that `text` starts with.
  Match LongestPrefix(absl::string_view text) const;

 private:
  struct Node {
    int32_t parent;
    int32_t value;
    int32_t depth;
    unsigned char byte;
  };

  static uint64_t EdgeKey(int32_t node, unsigned char byte) {
    return static_cast<uint64_t>(node) << 8 | byte;
  }

  std::vector<Node> nodes_;
  std::array<int32_t, 256> root_children_;
  absl::flat_hash_map<uint64_t, int32_t> children_;
};

}  // namespace seer

#endif  // SEER_BASE_TEXT_BYTE_TRIE_H_
