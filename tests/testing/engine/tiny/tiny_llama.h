// A small random Llama on disk, as Hugging Face would lay it out: for tests of
// whatever needs a model but not a good one.
#ifndef SEER_TESTS_TESTING_ENGINE_TINY_TINY_LLAMA_H_
#define SEER_TESTS_TESTING_ENGINE_TINY_TINY_LLAMA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace seer {

struct TinyLlamaOptions {
  uint64_t seed = 1;
  int32_t num_layers = 2;
  int32_t hidden_size = 64;
  int32_t intermediate_size = 128;
  int32_t num_query_heads = 4;
  int32_t num_kv_heads = 2;
  int32_t head_dim = 16;
  int32_t context_len = 16384;  // tokens
  double rope_theta = 10000.0;
  bool tie_word_embeddings = true;
  bool store_float32 = false;  // else bf16
};

// The vocabulary: three special tokens, the 256 bytes in order, some merges.
inline constexpr int32_t kTinyLlamaEndOfText = 0;  // <|endoftext|>
inline constexpr int32_t kTinyLlamaTurnStart = 1;  // <|im_start|>
inline constexpr int32_t kTinyLlamaTurnEnd = 2;    // <|im_end|>, the eos
inline constexpr int32_t kTinyLlamaFirstByte = 3;  // the token of byte 0
inline constexpr int32_t kTinyLlamaVocabSize = 3 + 256 + 9;

// Writes config.json, generation_config.json, model.safetensors,
// tokenizer.json (byte-level BPE) and tokenizer_config.json (a ChatML template)
// into the existing folder. The same options give the same files.
absl::Status WriteTinyLlama(const std::string& folder,
                            const TinyLlamaOptions& options);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TINY_TINY_LLAMA_H_
