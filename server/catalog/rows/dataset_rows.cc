#include <vector>

#include "absl/time/time.h"
#include "server/catalog/rows/row_queries.h"
#include "server/catalog/rows/rows.h"

namespace seer {
namespace {

constexpr char kSelectDataset[] =
    "SELECT seq, id, display_name, format, size, sha256, blob, num_documents, "
    "num_tokens, create_time FROM datasets ";

}  // namespace

void Read(const Query& query, DatasetRow& row) {
  Dataset& dataset = row.record;
  row.seq = query.Int(0);
  dataset.id = query.Text(1);
  dataset.display_name = query.Text(2);
  dataset.format = static_cast<UploadFormat>(query.Int(3));
  dataset.size = query.Int(4);
  dataset.sha256 = query.Text(5);
  row.blob = query.Text(6);
  dataset.facts.num_documents = query.Int(7);
  if (!query.IsNull(8)) dataset.facts.num_tokens = query.Int(8);
  dataset.create_time = absl::FromUnixMicros(query.Int(9));
}

absl::StatusOr<DatasetRow> FindDataset(Database& database,
                                       absl::string_view id) {
  return Find<DatasetRow>(database, kSelectDataset, "Dataset", id);
}

absl::StatusOr<std::vector<DatasetRow>> SelectDatasets(
    Database& database, absl::string_view where) {
  return Select<DatasetRow>(database, kSelectDataset, where);
}

absl::StatusOr<Page<DatasetRow>> DatasetPage(Database& database,
                                             const PageRequest& page) {
  return SelectPage<DatasetRow>(database, kSelectDataset, "", "seq", page);
}

absl::Status Insert(Database& database, const DatasetRow& row) {
  const Dataset& dataset = row.record;
  return Query(database,
               "INSERT INTO datasets (id, display_name, format, size, sha256, "
               "blob, num_documents, num_tokens, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               dataset.id, dataset.display_name,
               static_cast<int>(dataset.format), dataset.size, dataset.sha256,
               row.blob, dataset.facts.num_documents, dataset.facts.num_tokens,
               absl::ToUnixMicros(dataset.create_time))
      .Run();
}

}  // namespace seer
