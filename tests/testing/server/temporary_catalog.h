#ifndef SEER_TESTS_TESTING_SERVER_TEMPORARY_CATALOG_H_
#define SEER_TESTS_TESTING_SERVER_TEMPORARY_CATALOG_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/catalog/catalog.h"
#include "tests/testing/temporary_folder.h"

namespace seer {

// A catalog in a folder of its own. Its calls for tests throw where they fail.
class TemporaryCatalog {
 public:
  explicit TemporaryCatalog(CatalogOptions options = {});

  Catalog& operator*() { return *catalog_; }
  Catalog* operator->() { return catalog_.get(); }

  // As if the server was started again: closes the catalog and opens it.
  void Reopen();
  void Close() { catalog_.reset(); }
  const CatalogOptions& options() const { return options_; }
  std::string blobs() const { return options_.folder + "/blobs"; }

  // An upload of `content`, all of it committed; its id.
  std::string AddUpload(UploadKind kind, absl::string_view content);
  std::string AddDataset(absl::string_view content);
  // Of the model "m".
  std::string AddGateSet(absl::string_view content);

 private:
  TemporaryFolder folder_;
  CatalogOptions options_;
  std::unique_ptr<Catalog> catalog_;
};

// When tests happen.
absl::Time TestTime();
// SHA-256, hex.
std::string DigestOf(absl::string_view bytes);
// An upload of this content, as a client would describe it.
NewUpload UploadOf(UploadKind kind, absl::string_view content);
// Of a gate set of the model "m".
GateSetFacts FactsOfGateSet();
// The reason of an error (engine/errors.h), or "".
std::string ReasonTextOf(const absl::Status& status);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_TEMPORARY_CATALOG_H_
