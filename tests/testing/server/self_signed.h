#ifndef SEER_TESTS_TESTING_SERVER_SELF_SIGNED_H_
#define SEER_TESTS_TESTING_SERVER_SELF_SIGNED_H_

#include <string>

namespace seer {

// Both in PEM.
struct SelfSigned {
  std::string certificate;  // its own root
  std::string private_key;
};

// A new identity of the host `name`, valid for an hour.
SelfSigned MakeSelfSigned(const std::string& name);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_SELF_SIGNED_H_
