// The id of a vocabulary entry.
#ifndef SEER_ENGINE_TOKEN_H_
#define SEER_ENGINE_TOKEN_H_

#include <cstdint>

namespace seer {

using TokenId = int32_t;

}  // namespace seer

#endif  // SEER_ENGINE_TOKEN_H_
