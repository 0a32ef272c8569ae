// Long texts with facts hidden in them.
#ifndef SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_PROMPTS_H_
#define SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_PROMPTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace seer {

// A fact that no text holds by chance: a made-up place and its number.
struct Needle {
  std::string key;    // "Tamoru"
  std::string value;  // five digits
};

// `count` needles, at most 1000, with different keys and values; the same for
// the same seed everywhere.
std::vector<Needle> MakeNeedles(int count, uint64_t seed);

// "The secret number of Tamoru is 48213.\n"
std::string NeedleSentence(const Needle& needle);
// The end of a prompt: a line that says the same of any number, as far as it.
std::string NeedleAnswer(const std::string& key, const std::string& value);

struct HaystackArgs {
  absl::Span<const int32_t> filler;
  // Tokens of the facts. The first is the one that is asked for; the others
  // are spread evenly.
  std::vector<std::vector<int32_t>> sentences;
  double depth =
      0;  // of the first: the share of the filler before it, in [0, 1]
  std::vector<int32_t> line_breaks;  // tokens after which a line begins
};

// The filler with the sentences in it, each after the line break nearest before
// its place, if one of the 128 tokens there is one, else at its place.
std::vector<int32_t> BuildHaystack(const HaystackArgs& args);

// Where the first difference between any two of the sequences is.
size_t CommonPrefix(const std::vector<std::vector<int32_t>>& sequences);

// The place of the first score among all, 1 is the best; an equal one counts
// before it.
int RankOfFirst(absl::Span<const double> scores);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_NEEDLE_NEEDLE_PROMPTS_H_
