#include "client/evaluation/needle/needle_prompts.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace seer {
namespace {

// The standard's distributions may differ between libraries; its engines do
// not.
std::string MakeKey(std::mt19937_64* random) {
  constexpr absl::string_view kConsonants = "bdfgklmnprstvz";
  constexpr absl::string_view kVowels = "aeiou";
  std::string key;
  for (int syllable = 0; syllable < 3; ++syllable) {
    key.push_back(kConsonants[(*random)() % kConsonants.size()]);
    key.push_back(kVowels[(*random)() % kVowels.size()]);
  }
  key[0] = static_cast<char>(key[0] - 'a' + 'A');
  return key;
}

std::string Statement(const std::string& key, const std::string& value) {
  return absl::StrCat("The secret number of ", key, " is ", value);
}

size_t PlaceOf(const HaystackArgs& args, double depth) {
  constexpr size_t kSearch = 128;
  const auto place =
      static_cast<size_t>(std::llround(depth * args.filler.size()));
  for (size_t back = 0; back < std::min(place, kSearch); ++back) {
    const size_t at = place - back;
    if (std::find(args.line_breaks.begin(), args.line_breaks.end(),
                  args.filler[at - 1]) != args.line_breaks.end()) {
      return at;
    }
  }
  return place <= kSearch ? 0 : place;
}

}  // namespace

std::vector<Needle> MakeNeedles(int count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Needle> needles;
  std::set<std::string> used;
  while (static_cast<int>(needles.size()) < count) {
    Needle needle;
    needle.key = MakeKey(&random);
    needle.value = absl::StrCat(10000 + random() % 90000);
    if (used.count(needle.key) + used.count(needle.value) > 0) continue;
    used.insert({needle.key, needle.value});
    needles.push_back(std::move(needle));
  }
  return needles;
}

std::string NeedleSentence(const Needle& needle) {
  return absl::StrCat(Statement(needle.key, needle.value), ".\n");
}

std::string NeedleAnswer(const std::string& key, const std::string& value) {
  return absl::StrCat("\n", Statement(key, value));
}

std::vector<int32_t> BuildHaystack(const HaystackArgs& args) {
  // (place in the filler, sentence), in order.
  std::vector<std::pair<size_t, size_t>> places;
  const size_t num_others = args.sentences.size() - 1;
  for (size_t i = 0; i < args.sentences.size(); ++i) {
    const double depth = i == 0 ? args.depth : (i - 0.5) / num_others;
    places.emplace_back(PlaceOf(args, depth), i);
  }
  std::sort(places.begin(), places.end());
  std::vector<int32_t> haystack;
  size_t copied = 0;
  const auto copy_until = [&](size_t end) {
    haystack.insert(haystack.end(), args.filler.begin() + copied,
                    args.filler.begin() + end);
    copied = end;
  };
  for (const auto& [place, sentence] : places) {
    copy_until(place);
    haystack.insert(haystack.end(), args.sentences[sentence].begin(),
                    args.sentences[sentence].end());
  }
  copy_until(args.filler.size());
  return haystack;
}

size_t CommonPrefix(const std::vector<std::vector<int32_t>>& sequences) {
  size_t common = sequences.empty() ? 0 : sequences[0].size();
  for (const std::vector<int32_t>& other : sequences) {
    common = std::min(common, other.size());
    const auto difference = std::mismatch(other.begin(), other.begin() + common,
                                          sequences[0].begin())
                                .first;
    common = difference - other.begin();
  }
  return common;
}

int RankOfFirst(absl::Span<const double> scores) {
  return static_cast<int>(
      std::count_if(scores.begin(), scores.end(),
                    [&](double score) { return score >= scores[0]; }));
}

}  // namespace seer
