// Where a command reads and writes.
#ifndef SEER_CLIENT_OUTPUT_CONSOLE_H_
#define SEER_CLIENT_OUTPUT_CONSOLE_H_

#include <istream>
#include <ostream>

#include "client/interrupts.h"

namespace seer {

// Results go to `out`, everything else to `err`. All borrowed.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool err_is_terminal = false;
  Interrupts* interrupts = nullptr;  // null: signals are not handled
};

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_CONSOLE_H_
