// Tests of what is for ever in its process.
#ifndef SEER_TESTS_TESTING_OWN_PROCESS_H_
#define SEER_TESTS_TESTING_OWN_PROCESS_H_

#include <functional>

namespace seer {

// Runs `body` in a new process of this program, which sets the running test up
// again, and expects that no expectation fails there and that the process ends
// in an orderly way within `seconds`: one that hangs is ended.
void ExpectPassesInItsOwnProcess(unsigned seconds,
                                 const std::function<void()>& body);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_OWN_PROCESS_H_
