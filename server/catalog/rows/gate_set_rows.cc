#include <vector>

#include "absl/time/time.h"
#include "server/catalog/rows/record_json.h"
#include "server/catalog/rows/row_columns.h"
#include "server/catalog/rows/row_queries.h"
#include "server/catalog/rows/rows.h"

namespace seer {
namespace {

constexpr char kSelectGateSet[] =
    "SELECT seq, id, model, display_name, design, fingerprint, has_profile, "
    "provenance, size, sha256, blob, source, quality, create_time "
    "FROM gate_sets ";

}  // namespace

void Read(const Query& query, GateSetRow& row) {
  GateSetRecord& gate_set = row.record;
  row.seq = query.Int(0);
  gate_set.id = query.Text(1);
  gate_set.facts.model = query.Text(2);
  gate_set.display_name = query.Text(3);
  gate_set.facts.design = query.Text(4);
  gate_set.facts.fingerprint = query.Text(5);
  gate_set.facts.has_profile = query.Int(6) != 0;
  FromJson(query.Text(7), gate_set.facts.provenance);
  gate_set.size = query.Int(8);
  gate_set.sha256 = query.Text(9);
  row.blob = query.Text(10);
  gate_set.source = query.Text(11);
  gate_set.quality = ReadQuality(query, 12);
  gate_set.create_time = absl::FromUnixMicros(query.Int(13));
}

absl::StatusOr<GateSetRow> FindGateSet(Database& database,
                                       absl::string_view id) {
  return Find<GateSetRow>(database, kSelectGateSet, "GateSet", id);
}

absl::StatusOr<std::vector<GateSetRow>> SelectGateSets(
    Database& database, absl::string_view where) {
  return Select<GateSetRow>(database, kSelectGateSet, where);
}

absl::StatusOr<Page<GateSetRow>> GateSetPage(Database& database,
                                             absl::string_view model,
                                             const PageRequest& page) {
  return SelectPage<GateSetRow>(database, kSelectGateSet, "model = ? AND ",
                                "seq", page, model);
}

absl::Status Insert(Database& database, const GateSetRow& row) {
  const GateSetRecord& gate_set = row.record;
  return Query(database,
               "INSERT INTO gate_sets (id, model, display_name, design, "
               "fingerprint, has_profile, provenance, size, sha256, blob, "
               "source, quality, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               gate_set.id, gate_set.facts.model, gate_set.display_name,
               gate_set.facts.design, gate_set.facts.fingerprint,
               gate_set.facts.has_profile ? 1 : 0,
               ToJson(gate_set.facts.provenance), gate_set.size,
               gate_set.sha256, row.blob, gate_set.source,
               StoredQuality(gate_set.quality),
               absl::ToUnixMicros(gate_set.create_time))
      .Run();
}

}  // namespace seer
