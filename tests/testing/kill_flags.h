// The flags of tests that kill what they test, at random, again and again.
#ifndef SEER_TESTS_TESTING_KILL_FLAGS_H_
#define SEER_TESTS_TESTING_KILL_FLAGS_H_

#include <cstdint>

namespace seer {

// A main of Google Test that also takes --kills=N, how often, and --seed=S of
// the first; without them the values stay. Returns the exit code: 2 for a flag
// that nobody knows.
int RunKillTests(int argc, char** argv, int* num_kills, uint64_t* first_seed);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KILL_FLAGS_H_
