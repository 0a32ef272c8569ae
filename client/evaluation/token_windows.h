// Pieces of a long text.
#ifndef SEER_CLIENT_EVALUATION_TOKEN_WINDOWS_H_
#define SEER_CLIENT_EVALUATION_TOKEN_WINDOWS_H_

#include <cstdint>
#include <vector>

namespace seer {

// Where windows of `length` tokens begin in a text of `num_tokens`: as many as
// fit side by side, `max_windows` at most, spread evenly from the text's first
// token to its last; a single one begins at 0. Ascending; they do not overlap.
// None where the text is shorter than a window. `length` > 0.
std::vector<int64_t> WindowStarts(int64_t num_tokens, int64_t length,
                                  int64_t max_windows);

}  // namespace seer

#endif  // SEER_CLIENT_EVALUATION_TOKEN_WINDOWS_H_
