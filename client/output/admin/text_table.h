#ifndef SEER_CLIENT_OUTPUT_ADMIN_TEXT_TABLE_H_
#define SEER_CLIENT_OUTPUT_ADMIN_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace seer {

// Rows as lines of aligned columns, two spaces apart, without trailing spaces.
// A row may have fewer cells than others. Cells are counted in bytes.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_TEXT_TABLE_H_
