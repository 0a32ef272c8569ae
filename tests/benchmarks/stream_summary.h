// What a benchmark wants of a request.
#ifndef SEER_TESTS_BENCHMARKS_STREAM_SUMMARY_H_
#define SEER_TESTS_BENCHMARKS_STREAM_SUMMARY_H_

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace seer {

// Waits for the last event of a stream, and returns its failure as an error.
absl::StatusOr<SummaryEvent> WaitForSummary(TokenStream& stream);

}  // namespace seer

#endif  // SEER_TESTS_BENCHMARKS_STREAM_SUMMARY_H_
