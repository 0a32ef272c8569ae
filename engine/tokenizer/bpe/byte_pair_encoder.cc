#include "engine/tokenizer/bpe/byte_pair_encoder.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace seer {
namespace {

uint64_t PairKey(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

}  // namespace

BytePairEncoder::BytePairEncoder(const ByteTokens& byte_tokens,
                                 const std::vector<Merge>& merges)
    : byte_tokens_(byte_tokens) {
  ranks_.reserve(merges.size());
  int32_t rank = 0;
  for (const Merge& merge : merges) {
    ranks_[PairKey(merge.left, merge.right)] = {rank++, merge.result};
  }
}

// Candidates are never removed when a neighbour changes: MergeAll drops those
// that no longer hold.
void BytePairEncoder::PushCandidate(int32_t left, Scratch* scratch) const {
  const std::vector<Symbol>& symbols = scratch->symbols_;
  if (left < 0 || symbols[left].next < 0) return;
  const auto it = ranks_.find(
      PairKey(symbols[left].token, symbols[symbols[left].next].token));
  if (it == ranks_.end()) return;
  scratch->heap_.push_back({it->second.rank, left, it->second.result});
}

void BytePairEncoder::MergeAll(Scratch* scratch) const {
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  const auto push = [&](int32_t left) {
    const size_t size = scratch->heap_.size();
    PushCandidate(left, scratch);
    if (scratch->heap_.size() > size) {
      std::push_heap(scratch->heap_.begin(), scratch->heap_.end(), later);
    }
  };
  std::vector<Symbol>& symbols = scratch->symbols_;
  std::vector<Candidate>& heap = scratch->heap_;
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate candidate = heap.back();
    heap.pop_back();
    Symbol& left = symbols[candidate.left];
    if (left.token == kNoToken || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const auto it = ranks_.find(PairKey(left.token, right.token));
    if (it == ranks_.end() || it->second.rank != candidate.rank) continue;
    left.token = candidate.result;
    right.token = kNoToken;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = candidate.left;
    push(left.previous);
    push(candidate.left);
  }
}

void BytePairEncoder::Encode(absl::string_view word, Scratch* scratch,
                             std::vector<TokenId>* tokens) const {
  std::vector<Symbol>& symbols = scratch->symbols_;
  symbols.clear();
  scratch->heap_.clear();
  for (const char byte : word) {
    const TokenId token = byte_tokens_[static_cast<unsigned char>(byte)];
    if (token == kNoToken) continue;
    const int32_t index = static_cast<int32_t>(symbols.size());
    symbols.push_back({token, index - 1, index + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  const int32_t num_symbols = static_cast<int32_t>(symbols.size());
  for (int32_t left = 0; left < num_symbols; ++left) {
    PushCandidate(left, scratch);
  }
  MergeAll(scratch);
  for (int32_t at = 0; at >= 0; at = symbols[at].next) {
    tokens->push_back(symbols[at].token);
  }
}

}  // namespace seer
