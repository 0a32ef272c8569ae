// seerctl: the command line client of a SeerServe server.

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/interrupts.h"
#include "client/output/console.h"
#include "client/seerctl.h"
#include "grpc/support/log.h"

int main(int argc, char** argv) {
  // Errors of calls say it again, unless the user asks for more.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
  seer::Interrupts interrupts(seer::kExitCancelled);
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  seer::Console console{std::cin,
                        std::cout,
                        std::cerr,
                        isatty(STDIN_FILENO) == 1,
                        isatty(STDERR_FILENO) == 1,
                        &interrupts};
  return seer::RunSeerctl(std::vector<std::string>(argv + 1, argv + argc),
                          console);
}
