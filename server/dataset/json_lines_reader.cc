#include "server/dataset/json_lines_reader.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

// Takes the member "text" of an object and nothing else: however a line is
// nested, it costs no memory but its own.
class TextMember final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TextMember(std::string* text) : text_(text) {}

  // Why the line is wrong; "": it is not.
  absl::string_view problem() const {
    if (!problem_.empty()) return problem_;
    return has_text_ ? "" : "has no member \"text\"";
  }

  bool null() override { return Other(); }
  bool boolean(bool) override { return Other(); }
  bool number_integer(number_integer_t) override { return Other(); }
  bool number_unsigned(number_unsigned_t) override { return Other(); }
  bool number_float(number_float_t, const string_t&) override {
    return Other();
  }
  bool binary(binary_t&) override { return Other(); }
  bool string(string_t& value) override {
    if (!is_text_) return Other();
    is_text_ = false;
    text_->swap(value);
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ > 0 && !Other()) return false;
    ++depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (!Other()) return false;
    ++depth_;
    return true;
  }
  bool end_object() override { return --depth_, true; }
  bool end_array() override { return --depth_, true; }
  bool key(string_t& name) override {
    is_text_ = depth_ == 1 && name == "text";
    if (!is_text_) return true;
    if (has_text_) return Fail("has two members \"text\"");
    has_text_ = true;
    return true;
  }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return Fail(error.id == 101 ? "is no JSON, or not UTF-8"
                                : "holds a number that JSON readers refuse");
  }

 private:
  bool Fail(const char* problem) {
    problem_ = problem;
    return false;
  }
  // Any value but the text.
  bool Other() {
    if (depth_ == 0) return Fail("is no JSON object");
    if (is_text_) return Fail("has a member \"text\" that is no string");
    return true;
  }

  std::string* const text_;
  absl::string_view problem_;
  int64_t depth_ = 0;
  bool is_text_ = false;  // the next value is the text
  bool has_text_ = false;
};

}  // namespace

absl::Status JsonLinesReader::Wrong(absl::string_view problem) const {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", num_lines_, " ", problem));
}

absl::StatusOr<bool> JsonLinesReader::NextLine(absl::string_view& line) {
  size_t searched = position_;
  while (true) {
    const size_t end = ahead_.find('\n', searched);
    const bool found = end != std::string::npos;
    const size_t size = (found ? end : ahead_.size()) - position_;
    if (size > kMaxLineBytes) {
      ++num_lines_;
      return Wrong(absl::StrCat("has more than ", kMaxLineBytes, " bytes"));
    }
    if (found || (at_end_ && size > 0)) {
      ++num_lines_;
      line = absl::string_view(ahead_).substr(position_, size);
      position_ += size + (found ? 1 : 0);
      return true;
    }
    if (at_end_) return false;
    ahead_.erase(0, position_);
    position_ = 0;
    searched = ahead_.size();
    SEER_ASSIGN_OR_RETURN(const size_t got, file_.Read(kBlockBytes, ahead_));
    at_end_ = got < kBlockBytes;
  }
}

absl::StatusOr<bool> JsonLinesReader::Next(Document& document) {
  while (true) {
    absl::string_view line;
    SEER_ASSIGN_OR_RETURN(const bool any, NextLine(line));
    if (!any) return false;
    if (line.empty()) return Wrong("is empty");
    document = Document();
    TextMember member(&document.text);
    const bool parsed =
        nlohmann::json::sax_parse(line.begin(), line.end(), &member);
    if (!parsed || !member.problem().empty()) {
      return Wrong(member.problem());
    }
    if (!document.text.empty()) return true;
  }
}

}  // namespace seer
