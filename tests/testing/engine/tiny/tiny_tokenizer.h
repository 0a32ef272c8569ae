#ifndef SEER_TESTS_TESTING_ENGINE_TINY_TINY_TOKENIZER_H_
#define SEER_TESTS_TESTING_ENGINE_TINY_TINY_TOKENIZER_H_

#include <memory>

#include "engine/tokenizer/tokenizer.h"

namespace seer {

// The tokenizer of WriteTinyLlama's models, read from a folder of its own.
// Crashes the test where that fails.
std::unique_ptr<const Tokenizer> LoadTinyTokenizer();

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TINY_TINY_TOKENIZER_H_
