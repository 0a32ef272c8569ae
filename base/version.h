#ifndef SEER_BASE_VERSION_H_
#define SEER_BASE_VERSION_H_

namespace seer {

// Of the server and the client, which are released together.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace seer

#endif  // SEER_BASE_VERSION_H_
