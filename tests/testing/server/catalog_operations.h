// Random life of a catalog, for tests that interrupt it.
#ifndef SEER_TESTS_TESTING_SERVER_CATALOG_OPERATIONS_H_
#define SEER_TESTS_TESTING_SERVER_CATALOG_OPERATIONS_H_

#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/catalog/catalog.h"

namespace seer {

// All that a catalog answers about its resources, a line each: "upload ID ...",
// "dataset ID ...", "job ID ...", "gate_set ID ...", "rollout ...". Throws
// where a call fails.
using CatalogState = std::set<std::string>;
CatalogState StateOf(Catalog& catalog);

// One change of a catalog that should succeed.
struct CatalogOperation {
  // What it does to the state if it is done: the beginnings of the lines that
  // go
  // ("-upload ID") and come ("+upload ID", "+dataset").
  std::vector<std::string> effect;
  std::function<absl::Status()> run;
};

// Drawn from what `catalog` now allows; it must outlive the operation.
CatalogOperation DrawOperation(Catalog& catalog, std::mt19937_64& random);

// Empty where `after` is `before`, or `before` with the whole `effect`; else
// what differs.
std::string Unexplained(const CatalogState& before, const CatalogState& after,
                        const std::vector<std::string>& effect);

// Empty where every file that the catalog names is there with its digest and
// there are no others; else what is wrong. `blobs` is its folder of blobs.
std::string BrokenFiles(Catalog& catalog, const std::string& blobs);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_CATALOG_OPERATIONS_H_
