#include "server/admin/codec/wire_fields.h"

#include "engine/errors.h"

namespace seer {
namespace {

constexpr size_t kMaxDisplayNameBytes = 128;
constexpr size_t kMaxRequestIdBytes = 64;

}  // namespace

absl::StatusOr<PageRequest> DecodePage(int32_t page_size,
                                       const std::string& page_token) {
  PageRequest page;
  if (page_size != 0) page.limit = page_size;
  if (page.limit < 1 || page.limit > 1000) {
    return InvalidField("page_size", "must be in [1, 1000], or 0 for 100");
  }
  page.token = page_token;
  return page;
}

absl::Status CheckDisplayName(absl::string_view display_name,
                              absl::string_view field) {
  if (display_name.size() > kMaxDisplayNameBytes) {
    return InvalidField(field, "must have at most 128 bytes");
  }
  for (size_t i = 0; i < display_name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(display_name[i]);
    // U+0080 to U+009F are control characters too.
    const bool is_c1 = byte == 0xc2 && i + 1 < display_name.size() &&
                       static_cast<unsigned char>(display_name[i + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || is_c1) {
      return InvalidField(field, "must have no control characters");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRequestId(absl::string_view request_id) {
  bool printable = true;
  for (const char c : request_id) printable &= c > 0x20 && c < 0x7f;
  if (printable && request_id.size() <= kMaxRequestIdBytes) {
    return absl::OkStatus();
  }
  return InvalidField("request_id",
                      "must be 1 to 64 printable ASCII characters, or empty");
}

google::protobuf::Timestamp EncodeTime(absl::Time time) {
  constexpr int64_t kMicrosPerSecond = 1'000'000;
  const int64_t micros = absl::ToUnixMicros(time);
  int64_t rest = micros % kMicrosPerSecond;
  if (rest < 0) rest += kMicrosPerSecond;
  google::protobuf::Timestamp out;
  out.set_seconds((micros - rest) / kMicrosPerSecond);
  out.set_nanos(static_cast<int32_t>(rest * 1000));
  return out;
}

v1::Failure EncodeFailure(const Failure& failure) {
  v1::Failure out;
  out.set_reason(failure.reason);
  out.set_message(failure.message);
  return out;
}

v1::UploadFormat EncodeFormat(UploadFormat format) {
  switch (format) {
    case UploadFormat::kText:
      return v1::UPLOAD_FORMAT_TEXT;
    case UploadFormat::kJsonLines:
      return v1::UPLOAD_FORMAT_JSON_LINES;
    case UploadFormat::kTokenIds:
      return v1::UPLOAD_FORMAT_TOKEN_IDS;
    case UploadFormat::kSafetensors:
      return v1::UPLOAD_FORMAT_SAFETENSORS;
  }
  return v1::UPLOAD_FORMAT_UNSPECIFIED;
}

v1::CalibrationTarget EncodeTarget(absl::string_view target) {
  if (target == "max") return v1::CALIBRATION_TARGET_MAX;
  if (target == "mass") return v1::CALIBRATION_TARGET_MASS;
  if (target == "root_mass") return v1::CALIBRATION_TARGET_ROOT_MASS;
  return v1::CALIBRATION_TARGET_UNSPECIFIED;
}

v1::CalibrationLoss EncodeLoss(absl::string_view loss) {
  if (loss == "kl") return v1::CALIBRATION_LOSS_KL;
  if (loss == "kl_reference") return v1::CALIBRATION_LOSS_KL_REFERENCE;
  if (loss == "mse") return v1::CALIBRATION_LOSS_MSE;
  return v1::CALIBRATION_LOSS_UNSPECIFIED;
}

v1::GateQuality EncodeQuality(const GateQuality& quality) {
  v1::GateQuality out;
  for (const GateQuality::Layer& layer : quality.layers) {
    v1::LayerQuality& to = *out.add_layers();
    to.set_loss(layer.loss);
    for (const GateQuality::Recall& recall : layer.recalls) {
      v1::DensityRecall& at = *to.add_recalls();
      at.set_density(recall.density);
      at.set_mass_recall(recall.mass_recall);
      at.set_block_recall(recall.block_recall);
      at.set_realized_density(recall.realized_density);
      at.set_oracle_mass_recall(recall.oracle_mass_recall);
    }
  }
  for (const GateQuality::Perplexity& perplexity : quality.perplexities) {
    v1::DensityPerplexity& at = *out.add_perplexities();
    at.set_density(perplexity.density);
    at.set_perplexity(perplexity.perplexity);
  }
  out.set_dense_perplexity(quality.dense_perplexity);
  out.set_num_tokens(quality.num_tokens);
  return out;
}

}  // namespace seer
