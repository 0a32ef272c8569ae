#include "tests/testing/server/temporary_catalog.h"

#include <cstdint>
#include <utility>

#include "base/hash/sha256.h"
#include "engine/errors.h"

namespace seer {

TemporaryCatalog::TemporaryCatalog(CatalogOptions options)
    : options_(std::move(options)) {
  options_.folder = folder_.path() + "/state";
  catalog_ = Catalog::Open(options_).value();
}

void TemporaryCatalog::Reopen() {
  catalog_.reset();
  catalog_ = Catalog::Open(options_).value();
}

std::string TemporaryCatalog::AddUpload(UploadKind kind,
                                        absl::string_view content) {
  const std::string id =
      catalog_->CreateUpload(UploadOf(kind, content), TestTime()).value().id;
  catalog_->AppendToUpload(id, 0, content, TestTime()).value();
  catalog_->CommitUpload(id, TestTime()).value();
  return id;
}

std::string TemporaryCatalog::AddDataset(absl::string_view content) {
  const std::string upload = AddUpload(UploadKind::kDataset, content);
  catalog_->SealUpload(upload, TestTime()).value();
  return catalog_->FinishDataset(upload, {/*num_documents=*/1, {}}, TestTime())
      .value()
      .id;
}

std::string TemporaryCatalog::AddGateSet(absl::string_view content) {
  const std::string upload = AddUpload(UploadKind::kGateSet, content);
  catalog_->SealUpload(upload, TestTime()).value();
  return catalog_->FinishGateSet(upload, FactsOfGateSet(), TestTime())
      .value()
      .id;
}

absl::Time TestTime() { return absl::FromUnixSeconds(1'700'000'000); }

std::string DigestOf(absl::string_view bytes) {
  return Sha256Hex(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

NewUpload UploadOf(UploadKind kind, absl::string_view content) {
  NewUpload spec;
  spec.kind = kind;
  spec.format = kind == UploadKind::kGateSet ? UploadFormat::kSafetensors
                                             : UploadFormat::kText;
  spec.size = static_cast<int64_t>(content.size());
  spec.sha256 = DigestOf(content);
  spec.display_name = "from a test";
  return spec;
}

GateSetFacts FactsOfGateSet() {
  GateSetFacts facts;
  facts.model = "m";
  facts.design = "Qavg_Kmaxminavg";
  facts.fingerprint = std::string(64, 'f');
  facts.has_profile = true;
  facts.provenance.loss = "kl";
  return facts;
}

std::string ReasonTextOf(const absl::Status& status) {
  const auto reason = ReasonOf(status);
  return reason ? reason->reason : "";
}

}  // namespace seer
