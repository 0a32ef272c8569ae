// Byte pair encoding: a word's bytes, joined pair by pair in the order of the
// merges' ranks (Sennrich et al., 2016).
#ifndef SEER_ENGINE_TOKENIZER_BPE_BYTE_PAIR_ENCODER_H_
#define SEER_ENGINE_TOKENIZER_BPE_BYTE_PAIR_ENCODER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/token.h"

namespace seer {

// Two tokens that become one.
struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

// The token of each byte; kNoToken: the byte is dropped before merging.
using ByteTokens = std::array<TokenId, 256>;
constexpr TokenId kNoToken = -1;

// Immutable, thread-safe.
class BytePairEncoder {
 private:
  // One token of the word while it is merged: a linked list in an array.
  struct Symbol {
    TokenId token;  // kNoToken: joined to the one before
    int32_t previous;
    int32_t next;  // -1 at the ends
  };
  // A pair that could be merged: lowest rank first, then leftmost.
  struct Candidate {
    int32_t rank;
    int32_t left;  // index of the symbol
    TokenId result;
  };

 public:
  // Memory that calls reuse. One a thread.
  class Scratch {
   private:
    friend class BytePairEncoder;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> heap_;
  };

  // `merges` in order of rank. Of equal pairs the last counts.
  BytePairEncoder(const ByteTokens& byte_tokens,
                  const std::vector<Merge>& merges);

  // Longest word, bytes.
  static constexpr size_t kMaxWordBytes = size_t{1} << 30;

  // Appends the tokens of `word`, at most kMaxWordBytes, to `tokens`.
  // O(n log n): each merge pops one candidate and pushes two at most.
  void Encode(absl::string_view word, Scratch* scratch,
              std::vector<TokenId>* tokens) const;

 private:
  struct Rank {
    int32_t rank;
    TokenId result;
  };

  void PushCandidate(int32_t left, Scratch* scratch) const;
  void MergeAll(Scratch* scratch) const;

  ByteTokens byte_tokens_;
  absl::flat_hash_map<uint64_t, Rank> ranks_;  // by left << 32 | right
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_BYTE_PAIR_ENCODER_H_
