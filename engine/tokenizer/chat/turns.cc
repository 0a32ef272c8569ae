#include "engine/tokenizer/chat/turns.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/text/utf8.h"
#include "engine/tokenizer/bpe/white_space.h"

namespace seer {
namespace {

constexpr absl::string_view kChatMlTokens[] = {"<|im_start|>", "<|im_end|>"};
constexpr absl::string_view kLlama3Tokens[] = {
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};

// The date that Llama 3.1's template states where it is told none.
constexpr absl::string_view kTemplateDate = "26 Jul 2024";

// Jinja's trim is Python's strip, which takes the four information separators
// for white space too.
bool IsStripped(char32_t c) {
  return IsWhiteSpace(c) || (c >= 0x1C && c <= 0x1F);
}

absl::string_view Trim(absl::string_view text) {
  while (!text.empty()) {
    const Utf8Sequence first = ReadUtf8(text);
    if (!IsStripped(first.code_point)) break;
    text.remove_prefix(first.len);
  }
  while (!text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
    if (!IsStripped(ReadUtf8(text.substr(at)).code_point)) break;
    text.remove_suffix(text.size() - at);
  }
  return text;
}

class Segments {
 public:
  void Control(absl::string_view token) {
    segments_.push_back({true, std::string(token)});
  }
  void Text(absl::string_view text) {
    if (text.empty()) return;
    if (segments_.empty() || segments_.back().control) {
      segments_.push_back({false, ""});
    }
    absl::StrAppend(&segments_.back().text, text);
  }
  std::vector<PromptSegment> Take() { return std::move(segments_); }

 private:
  std::vector<PromptSegment> segments_;
};

void AddChatMlTurn(absl::string_view role, absl::string_view content,
                   Segments* segments) {
  segments->Control("<|im_start|>");
  segments->Text(absl::StrCat(role, "\n", content));
  segments->Control("<|im_end|>");
  segments->Text("\n");
}

std::vector<PromptSegment> RenderChatMl(const KnownTemplate& known,
                                        absl::Span<const ChatTurn> turns,
                                        const PromptFrame& frame) {
  Segments segments;
  if (known.default_system && turns[0].role != "system") {
    AddChatMlTurn("system", *known.default_system, &segments);
  }
  for (const ChatTurn& turn : turns) {
    AddChatMlTurn(turn.role, turn.content, &segments);
  }
  if (frame.add_generation_prompt) {
    segments.Control("<|im_start|>");
    segments.Text("assistant\n");
  }
  return segments.Take();
}

void AddLlama3Header(absl::string_view role, Segments* segments) {
  segments->Control("<|start_header_id|>");
  segments->Text(role);
  segments->Control("<|end_header_id|>");
  segments->Text("\n\n");
}

std::vector<PromptSegment> RenderLlama3(const KnownTemplate& known,
                                        absl::Span<const ChatTurn> turns,
                                        const PromptFrame& frame) {
  Segments segments;
  segments.Control(frame.bos);
  if (known.format == ChatFormat::kLlama31) {
    AddLlama3Header("system", &segments);
    segments.Text("Cutting Knowledge Date: December 2023\nToday Date: ");
    segments.Text(frame.date ? absl::string_view(*frame.date) : kTemplateDate);
    segments.Text("\n\n");
    if (turns[0].role == "system") {
      segments.Text(Trim(turns[0].content));
      turns.remove_prefix(1);
    }
    segments.Control("<|eot_id|>");
  }
  for (const ChatTurn& turn : turns) {
    AddLlama3Header(turn.role, &segments);
    segments.Text(Trim(turn.content));
    segments.Control("<|eot_id|>");
  }
  if (frame.add_generation_prompt) AddLlama3Header("assistant", &segments);
  return segments.Take();
}

}  // namespace

std::vector<PromptSegment> RenderTurns(const KnownTemplate& known,
                                       absl::Span<const ChatTurn> turns,
                                       const PromptFrame& frame) {
  return known.format == ChatFormat::kChatMl
             ? RenderChatMl(known, turns, frame)
             : RenderLlama3(known, turns, frame);
}

absl::Span<const absl::string_view> ControlTokens(ChatFormat format) {
  if (format == ChatFormat::kChatMl) return kChatMlTokens;
  return kLlama3Tokens;
}

}  // namespace seer
