// Gathers the frames of a stream into one result.
#ifndef SEER_CLIENT_COMPLETION_RESULT_ACCUMULATOR_H_
#define SEER_CLIENT_COMPLETION_RESULT_ACCUMULATOR_H_

#include "proto/seer/v1/completion.pb.h"

namespace seer {

// The result that CompleteOnce would have given for the same request.
class ResultAccumulator {
 public:
  // Frames in the order of the stream. Those of a choice over 1023 are left
  // out.
  void Add(const v1::CompleteResponse& frame);

  // What the frames so far come to.
  const v1::CompleteResult& result() const { return result_; }

 private:
  // Null where the index is out of range.
  v1::Choice* ChoiceAt(int index);

  v1::CompleteResult result_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMPLETION_RESULT_ACCUMULATOR_H_
