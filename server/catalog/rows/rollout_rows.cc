#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "server/catalog/rows/row_queries.h"
#include "server/catalog/rows/rows.h"

namespace seer {
namespace {

constexpr char kSelectRevision[] =
    "SELECT revision, stable, canary, canary_fraction, previous, update_time, "
    "cause, message FROM rollout_revisions ";

}  // namespace

void Read(const Query& query, RevisionRow& row) {
  Rollout& rollout = row.record.rollout;
  row.seq = query.Int(0);
  rollout.stable = query.Text(1);
  rollout.canary = query.Text(2);
  rollout.canary_fraction = query.Double(3);
  rollout.previous = query.Text(4);
  rollout.etag = absl::StrCat("r", row.seq);
  rollout.update_time = absl::FromUnixMicros(query.Int(5));
  row.record.cause = static_cast<RolloutCause>(query.Int(6));
  row.record.message = query.Text(7);
}

absl::StatusOr<RevisionRow> LastRevision(Database& database,
                                         absl::string_view model) {
  SEER_ASSIGN_OR_RETURN(
      std::optional<RevisionRow> last,
      SelectOne<RevisionRow>(database, kSelectRevision,
                             "WHERE model = ? ORDER BY revision DESC LIMIT 1",
                             model));
  if (last.has_value()) return *std::move(last);
  RevisionRow none;
  none.record.rollout.etag = "r0";
  return none;
}

absl::StatusOr<Page<RevisionRow>> RevisionPage(Database& database,
                                               absl::string_view model,
                                               const PageRequest& page) {
  return SelectPage<RevisionRow>(database, kSelectRevision, "model = ? AND ",
                                 "revision", page, model);
}

absl::Status Insert(Database& database, absl::string_view model,
                    const RevisionRow& row) {
  const Rollout& rollout = row.record.rollout;
  return Query(database,
               "INSERT INTO rollout_revisions (model, revision, stable, "
               "canary, canary_fraction, previous, update_time, cause, "
               "message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               model, row.seq, rollout.stable, rollout.canary,
               rollout.canary_fraction, rollout.previous,
               absl::ToUnixMicros(rollout.update_time),
               static_cast<int>(row.record.cause), row.record.message)
      .Run();
}

}  // namespace seer
