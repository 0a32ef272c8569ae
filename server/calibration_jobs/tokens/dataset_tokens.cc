#include "server/calibration_jobs/tokens/dataset_tokens.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/calibration_jobs/tokens/scratch_file.h"
#include "server/dataset/dataset_reader.h"

namespace seer {
namespace {

absl::Status Damaged(absl::string_view problem) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("the dataset is damaged: ", problem)),
                    {"DATASET_DAMAGED", {}, {}});
}

// It was read when it was uploaded: what is wrong now has become so.
absl::Status OfReader(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) return Damaged(status.message());
  if (absl::IsNotFound(status)) return Damaged("its file is missing");
  if (absl::IsCancelled(status)) return status;
  return absl::InternalError(status.message());  // the disk
}

absl::Status Append(absl::Span<const TokenId> ids,
                    const TokenizingOptions& options, ScratchFile& file) {
  for (const TokenId id : ids) {
    if (id < 0 || id >= options.vocab_size) {
      return Damaged(absl::StrCat("it has token ", id,
                                  ", of which the model knows nothing"));
    }
  }
  return file.Append(absl::string_view(
      reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)));
}

}  // namespace

absl::StatusOr<DocumentMarks> MarksOf(const Tokenizer& tokenizer) {
  DocumentMarks marks;
  EncodeOptions with_special;
  with_special.add_special = true;
  SEER_ASSIGN_OR_RETURN(const std::vector<TokenId> around,
                        tokenizer.Encode("", with_special));
  if (!around.empty() && tokenizer.bos() == around[0]) marks.begin = around[0];
  for (const char* const name : {"<|end_of_text|>", "<|endoftext|>"}) {
    const std::optional<TokenId> id = tokenizer.TokenToId(name);
    if (id && tokenizer.IsSpecial(*id)) {
      marks.end = id;
      return marks;
    }
  }
  if (!tokenizer.end_tokens().empty()) marks.end = tokenizer.end_tokens()[0];
  return marks;
}

absl::StatusOr<std::shared_ptr<const TokenFile>> TokenizeDataset(
    const Dataset& dataset, const Tokenizer& tokenizer,
    const TokenizingOptions& options, const std::function<bool()>& cancelled) {
  const bool is_text = dataset.format != UploadFormat::kTokenIds;
  DocumentMarks marks;
  if (is_text) {
    SEER_ASSIGN_OR_RETURN(marks, MarksOf(tokenizer));
  }
  auto reader = DatasetReader::Open(dataset.path, dataset.format,
                                    options.vocab_size, cancelled);
  if (!reader.ok()) return OfReader(reader.status());
  SEER_ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::OnDisk(options.folder));
  Document document;
  bool is_first = true;    // the document
  bool continues = false;  // the part belongs to the document before
  while (true) {
    if (cancelled()) return absl::CancelledError("left off while preparing");
    const absl::StatusOr<bool> any = (*reader)->Next(document);
    if (!any.ok()) return OfReader(any.status());
    if (!*any) break;
    std::vector<TokenId> ids;
    if (!continues && !is_first && marks.end) ids.push_back(*marks.end);
    if (!continues && marks.begin) ids.push_back(*marks.begin);
    if (is_text) {
      SEER_ASSIGN_OR_RETURN(document.token_ids,
                            tokenizer.Encode(document.text, {}));
    }
    ids.insert(ids.end(), document.token_ids.begin(), document.token_ids.end());
    SEER_RETURN_IF_ERROR(Append(ids, options, file));
    is_first = false;
    continues = document.continues;
  }
  auto tokens = TokenFile::Open(file, options.sequence_len);
  if (!tokens.ok()) return absl::InternalError(tokens.status().message());
  return tokens;
}

}  // namespace seer
