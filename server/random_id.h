#ifndef SEER_SERVER_RANDOM_ID_H_
#define SEER_SERVER_RANDOM_ID_H_

#include <string>

namespace seer {

// A new name for a request or a resource: 26 random characters of [a-z2-7], 130
// bits from the system's generator, so that nobody can guess another's.
// Thread-safe.
std::string NewRandomId();

}  // namespace seer

#endif  // SEER_SERVER_RANDOM_ID_H_
