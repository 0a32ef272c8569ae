#include "engine/tokenizer/bpe/pre_tokenizer.h"

#include <pcre2.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "engine/tokenizer/bpe/pattern.h"

namespace seer {
namespace {

template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* pointer) const { Free(pointer); }
};
template <typename T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freer<T, Free>>;

using Code = Owned<pcre2_code, pcre2_code_free>;
using CompileContext = Owned<pcre2_compile_context, pcre2_compile_context_free>;
using MatchContext = Owned<pcre2_match_context, pcre2_match_context_free>;
using MatchScratch = Owned<pcre2_match_data, pcre2_match_data_free>;
using JitStack = Owned<pcre2_jit_stack, pcre2_jit_stack_free>;

std::string ErrorText(int error) {
  unsigned char text[256];
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

absl::StatusOr<Code> Compile(const SplitStep& step) {
  std::string pattern = step.pattern;
  uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
  if (step.literal) {
    flags = PCRE2_UTF | PCRE2_LITERAL;
  } else {
    SEER_ASSIGN_OR_RETURN(pattern, TranslatePattern(step.pattern));
  }
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()),
                          pattern.size(), flags, &error, &offset,
                          context.get()));
  if (code == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("the pattern `", step.pattern,
                     "` does not compile: ", ErrorText(error)));
  }
  uint32_t matches_nothing = 0;
  pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing != 0) {
    return absl::UnimplementedError(absl::StrCat(
        "the pattern `", step.pattern, "` can match the empty string"));
  }
  // Where there is no JIT for this machine, matching interprets.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

// Joins the pieces of one text, which come in order and cover it, to words.
class PieceJoiner {
 public:
  PieceJoiner(SplitBehavior behavior, absl::string_view text,
              absl::FunctionRef<void(absl::string_view)> word)
      : behavior_(behavior), text_(text), word_(word) {}

  // The next piece, up to byte `end`. Empty ones are ignored.
  void Add(size_t end, bool match) {
    if (end == end_) return;
    if (!JoinsPending(match)) Flush();
    pending_match_ = match;
    has_pending_ = behavior_ != SplitBehavior::kRemoved || !match;
    end_ = end;
    if (!has_pending_) start_ = end;
  }

  void Flush() {
    if (has_pending_) word_(text_.substr(start_, end_ - start_));
    has_pending_ = false;
    start_ = end_;
  }

 private:
  // Whether a piece belongs to the word that the last one started.
  bool JoinsPending(bool match) const {
    if (!has_pending_) return false;
    switch (behavior_) {
      case SplitBehavior::kContiguous:
        return match == pending_match_;
      case SplitBehavior::kMergedWithPrevious:
        return match && !pending_match_;
      case SplitBehavior::kMergedWithNext:
        return !match && pending_match_;
      case SplitBehavior::kRemoved:
      case SplitBehavior::kIsolated:
        return false;
    }
    return false;
  }

  const SplitBehavior behavior_;
  const absl::string_view text_;
  const absl::FunctionRef<void(absl::string_view)> word_;
  size_t start_ = 0;  // of the pending word
  size_t end_ = 0;    // of the last piece
  bool has_pending_ = false;
  bool pending_match_ = false;  // the last piece was a match
};

}  // namespace

// Contractions, then words, numbers and signs with the space before them.
const char kGpt2Pattern[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

struct PreTokenizer::CompiledStep {
  SplitBehavior behavior;
  bool invert;
  Code code;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) = default;

absl::StatusOr<PreTokenizer> PreTokenizer::Make(
    absl::Span<const SplitStep> steps) {
  PreTokenizer pre_tokenizer;
  for (const SplitStep& step : steps) {
    SEER_ASSIGN_OR_RETURN(Code code, Compile(step));
    pre_tokenizer.steps_.push_back(
        {step.behavior, step.invert, std::move(code)});
  }
  return pre_tokenizer;
}

class PreTokenizer::Splitter {
 public:
  Splitter(const std::vector<CompiledStep>& steps, size_t text_len,
           absl::FunctionRef<void(absl::string_view)> word)
      : steps_(steps),
        word_(word),
        context_(pcre2_match_context_create(nullptr)),
        stack_(pcre2_jit_stack_create(kStackStart, kStackMax, nullptr)) {
    // Patterns that look back over a run of characters stay far below this;
    // one that is worse than linear is stopped.
    const uint64_t limit = kMatchLimit + 16 * static_cast<uint64_t>(text_len);
    pcre2_set_match_limit(context_.get(),
                          limit > std::numeric_limits<uint32_t>::max()
                              ? std::numeric_limits<uint32_t>::max()
                              : static_cast<uint32_t>(limit));
    pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
    for (const CompiledStep& step : steps_) {
      scratch_.emplace_back(
          pcre2_match_data_create_from_pattern(step.code.get(), nullptr));
    }
  }

  // Gives the words that step `index` and those after it make of `text`.
  void Run(size_t index, absl::string_view text) {
    if (index == steps_.size()) {
      word_(text);
      return;
    }
    const auto next = [&](absl::string_view part) { Run(index + 1, part); };
    PieceJoiner joiner(steps_[index].behavior, text, next);
    size_t at = 0;
    while (at < text.size() && status_.ok()) {
      const std::optional<Found> found = Find(index, text, at);
      if (!found) break;
      joiner.Add(found->start, steps_[index].invert);
      joiner.Add(found->end, !steps_[index].invert);
      at = found->end;
    }
    if (!status_.ok()) return;
    joiner.Add(text.size(), steps_[index].invert);
    joiner.Flush();
  }

  const absl::Status& status() const { return status_; }

 private:
  struct Found {
    size_t start;
    size_t end;
  };

  static constexpr size_t kStackStart = size_t{32} << 10;
  static constexpr size_t kStackMax = size_t{8} << 20;
  static constexpr uint64_t kMatchLimit = 1000000;

  // The first match that starts at or after byte `at`.
  std::optional<Found> Find(size_t index, absl::string_view text, size_t at) {
    const int found =
        pcre2_match(steps_[index].code.get(),
                    reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                    PCRE2_NO_UTF_CHECK, scratch_[index].get(), context_.get());
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (found < 0) {
      status_ = absl::ResourceExhaustedError(absl::StrCat(
          "cutting the text into words failed: ", ErrorText(found)));
      return std::nullopt;
    }
    const size_t* range = pcre2_get_ovector_pointer(scratch_[index].get());
    return Found{range[0], range[1]};
  }

  const std::vector<CompiledStep>& steps_;
  const absl::FunctionRef<void(absl::string_view)> word_;
  const MatchContext context_;
  const JitStack stack_;
  std::vector<MatchScratch> scratch_;  // by step
  absl::Status status_;
};

absl::Status PreTokenizer::Split(
    absl::string_view text,
    absl::FunctionRef<void(absl::string_view)> word) const {
  if (text.empty()) return absl::OkStatus();
  Splitter splitter(steps_, text.size(), word);
  splitter.Run(0, text);
  return splitter.status();
}

}  // namespace seer
