// seerctl: complete, chat with, score and inspect a SeerServe server.

#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "client/interrupts.h"
#include "client/output/console.h"
#include "client/seerctl.h"

int main(int argc, char** argv) {
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
