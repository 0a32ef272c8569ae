#ifndef SEER_CLIENT_TESTING_SEERCTL_RUN_H_
#define SEER_CLIENT_TESTING_SEERCTL_RUN_H_

#include <string>
#include <vector>

namespace seer {

// What a command line of seerctl came to.
struct SeerctlOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// Runs seerctl in this process with `input` as its standard input. `terminal`:
// that, and standard error, are one.
SeerctlOutput RunSeerctlOn(const std::vector<std::string>& args,
                           const std::string& input = "",
                           bool terminal = false);

}  // namespace seer

#endif  // SEER_CLIENT_TESTING_SEERCTL_RUN_H_
