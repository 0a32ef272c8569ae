#include "client/testing/seerctl_run.h"

#include <sstream>

#include "client/output/console.h"
#include "client/seerctl.h"

namespace seer {

SeerctlOutput RunSeerctlOn(const std::vector<std::string>& args,
                           const std::string& input, bool terminal) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Console console{in, out, err, terminal, terminal, nullptr};
  const int exit_code = RunSeerctl(args, console);
  return {exit_code, out.str(), err.str()};
}

}  // namespace seer
