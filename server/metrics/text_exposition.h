#ifndef SEER_SERVER_METRICS_TEXT_EXPOSITION_H_
#define SEER_SERVER_METRICS_TEXT_EXPOSITION_H_

#include <string>
#include <vector>

#include "prometheus/collectable.h"

namespace seer {

// What `sources` hold now, in Prometheus' text format 0.0.4.
std::string ExposeText(
    const std::vector<const prometheus::Collectable*>& sources);

}  // namespace seer

#endif  // SEER_SERVER_METRICS_TEXT_EXPOSITION_H_
