// The real service over a scripted engine, for clients in other languages:
// prints its address, and serves until standard input ends.

#include <iostream>

#include "tests/testing/server/in_process_server.h"

int main() {
  seer::InProcessServer server({});
  std::cout << server.target() << std::endl;
  while (std::cin.get() != EOF) {
  }
}
