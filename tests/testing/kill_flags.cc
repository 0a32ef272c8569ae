#include "tests/testing/kill_flags.h"

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace seer {

int RunKillTests(int argc, char** argv, int* num_kills, uint64_t* first_seed) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    const bool ok = absl::ConsumePrefix(&flag, "--kills=")
                        ? absl::SimpleAtoi(flag, num_kills)
                        : absl::ConsumePrefix(&flag, "--seed=") &&
                              absl::SimpleAtoi(flag, first_seed);
    if (!ok) {
      std::fprintf(stderr, "unknown flag %s\n", argv[i]);
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}

}  // namespace seer
