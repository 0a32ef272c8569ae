// The page a benchmark leaves behind: figures with what they were made from.
#ifndef SEER_TESTS_TESTING_BENCHMARK_REPORT_H_
#define SEER_TESTS_TESTING_BENCHMARK_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace seer {

// Middle and spread of repeated measurements of one quantity, in its unit.
struct Spread {
  double median = 0.0;
  double lowest = 0.0;
  double highest = 0.0;
};

// Of at least one measurement.
Spread SpreadOf(absl::Span<const double> measurements);

// "12.3 (11.9-14.0)": median, lowest and highest with this many decimals.
std::string FormatSpread(const Spread& spread, int decimals);

// How many processors' worth of work others and this process kept ready to run
// over the last minute, as Linux tells: what else the figures carry.
std::string LoadAverage();

// The machine: model name, processors and memory, as Linux tells.
std::string DescribeMachine();

// A page of facts and tables in Markdown.
class BenchmarkReport {
 public:
  // `commit`: of the code that runs, as its caller tells.
  BenchmarkReport(absl::string_view title, absl::string_view commit);

  // One more line "name: value" above the tables. Commit, date, machine
  // and its load when this is made are there already.
  void AddFact(absl::string_view name, absl::string_view value);

  // Starts a table under a heading; rows go to the last one started.
  void StartTable(absl::string_view heading, std::vector<std::string> columns);
  void AddRow(std::vector<std::string> cells);  // as many as columns
  // A paragraph after the last table.
  void AddText(absl::string_view text);

  std::string Markdown() const { return header_ + facts_ + body_; }
  // To a file, or where `path` is empty to standard output. Whether it could be
  // written.
  bool WriteTo(const std::string& path) const;

 private:
  std::string header_, facts_, body_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_BENCHMARK_REPORT_H_
