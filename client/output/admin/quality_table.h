#ifndef SEER_CLIENT_OUTPUT_ADMIN_QUALITY_TABLE_H_
#define SEER_CLIENT_OUTPUT_ADMIN_QUALITY_TABLE_H_

#include <string>

#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// What a gate is worth, as two tables: for each layer its loss and, by density,
// the mass recall of the gate's blocks beside that of an oracle's, with the
// layers' means and the densities that were really read below; then perplexity
// by density beside dense.
//
//   mass recall (of an oracle) by density
//   layer  loss     0.5            0.2            0.1
//   0      0.03124  0.951 (0.987)  0.843 (0.921)  0.702 (0.854)
//   mean   0.03124  0.951 (0.987)  0.843 (0.921)  0.702 (0.854)
//   read            0.504          0.213          0.118
//
//   density  perplexity  over dense
//   1        12.3450
//   0.5      12.3610     +0.13 %
//   on 81920 held-out tokens
std::string QualityTable(const v1::GateQuality& quality);

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_ADMIN_QUALITY_TABLE_H_
