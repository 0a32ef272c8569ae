// What the queries of all tables have in common. `select` ends before WHERE.
#ifndef SEER_SERVER_CATALOG_ROWS_ROW_QUERIES_H_
#define SEER_SERVER_CATALOG_ROWS_ROW_QUERIES_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/refusals.h"
#include "server/catalog/rows/rows.h"
#include "server/catalog/storage/database.h"

namespace seer {

// The row that a query of its table is at.
void Read(const Query& query, UploadRow& row);
void Read(const Query& query, DatasetRow& row);
void Read(const Query& query, JobRow& row);
void Read(const Query& query, GateSetRow& row);
void Read(const Query& query, RevisionRow& row);

template <typename Row, typename... Values>
absl::StatusOr<std::vector<Row>> Select(Database& database,
                                        absl::string_view select,
                                        absl::string_view where,
                                        const Values&... values) {
  std::vector<Row> rows;
  Query query(database, absl::StrCat(select, where), values...);
  while (query.Next()) Read(query, rows.emplace_back());
  SEER_RETURN_IF_ERROR(query.status());
  return rows;
}

template <typename Row>
absl::StatusOr<std::optional<Row>> SelectOne(Database& database,
                                             absl::string_view select,
                                             absl::string_view where,
                                             absl::string_view value) {
  SEER_ASSIGN_OR_RETURN(std::vector<Row> rows,
                        Select<Row>(database, select, where, value));
  if (rows.empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows[0]));
}

template <typename Row>
absl::StatusOr<Row> Find(Database& database, absl::string_view select,
                         absl::string_view type, absl::string_view id) {
  SEER_ASSIGN_OR_RETURN(std::optional<Row> row,
                        SelectOne<Row>(database, select, "WHERE id = ?", id));
  if (!row.has_value()) return NotFound(type, id);
  return *std::move(row);
}

// `by` is the column that pages go down by; `where` may hold one `?` for
// `value` and, if not empty, ends in "AND ".
template <typename Row, typename... Value>
absl::StatusOr<Page<Row>> SelectPage(
    Database& database, absl::string_view select, absl::string_view where,
    absl::string_view by, const PageRequest& page, const Value&... value) {
  if (page.limit < 1 || page.limit > 1000) {
    return InvalidField("page_size", "must be in [1, 1000]");
  }
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!page.token.empty() &&
      (!absl::SimpleAtoi(page.token, &before) || before < 1)) {
    return InvalidField("page_token", "is not one of this server's");
  }
  Page<Row> result;
  SEER_ASSIGN_OR_RETURN(
      result.items,
      Select<Row>(database, select,
                  absl::StrCat("WHERE ", where, by, " < ? ORDER BY ", by,
                               " DESC LIMIT ?"),
                  value..., before, page.limit + 1));
  if (static_cast<int>(result.items.size()) > page.limit) {
    result.items.pop_back();
    result.next_token = absl::StrCat(result.items.back().seq);
  }
  return result;
}

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_ROWS_ROW_QUERIES_H_
