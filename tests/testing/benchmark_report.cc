#include "tests/testing/benchmark_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "absl/base/internal/raw_logging.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace seer {
namespace {

// The value of the first line of /proc/cpuinfo that is called `name`.
std::string CpuInfo(absl::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (absl::StartsWith(line, name) && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

}  // namespace

Spread SpreadOf(absl::Span<const double> measurements) {
  ABSL_RAW_CHECK(!measurements.empty(), "nothing was measured");
  std::vector<double> sorted(measurements.begin(), measurements.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  Spread spread;
  spread.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
  spread.lowest = sorted.front();
  spread.highest = sorted.back();
  return spread;
}

std::string FormatSpread(const Spread& spread, int decimals) {
  return absl::StrFormat("%.*f (%.*f-%.*f)", decimals, spread.median, decimals,
                         spread.lowest, decimals, spread.highest);
}

std::string LoadAverage() {
  std::string load = "unknown";
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

std::string DescribeMachine() {
  const int64_t bytes =
      int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  return absl::StrCat(CpuInfo("model name"), " (family ", CpuInfo("cpu family"),
                      ", model ", CpuInfo("model\t"), "), ",
                      sysconf(_SC_NPROCESSORS_ONLN), " processors, ",
                      bytes >> 30, " GiB");
}

BenchmarkReport::BenchmarkReport(absl::string_view title,
                                 absl::string_view commit)
    : header_(absl::StrCat("# ", title, "\n\n")) {
  AddFact("Commit", commit);
  AddFact("Date",
          absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()));
  AddFact("Machine", DescribeMachine());
  AddFact("Load average", LoadAverage());
}

void BenchmarkReport::AddFact(absl::string_view name, absl::string_view value) {
  absl::StrAppend(&facts_, "- ", name, ": ", value, "\n");
}

void BenchmarkReport::StartTable(absl::string_view heading,
                                 std::vector<std::string> columns) {
  absl::StrAppend(&body_, "\n## ", heading, "\n\n| ",
                  absl::StrJoin(columns, " | "), " |\n|");
  for (size_t i = 0; i < columns.size(); ++i) absl::StrAppend(&body_, "---|");
  absl::StrAppend(&body_, "\n");
}

void BenchmarkReport::AddRow(std::vector<std::string> cells) {
  absl::StrAppend(&body_, "| ", absl::StrJoin(cells, " | "), " |\n");
}

void BenchmarkReport::AddText(absl::string_view text) {
  absl::StrAppend(&body_, "\n", text, "\n");
}

bool BenchmarkReport::WriteTo(const std::string& path) const {
  if (path.empty()) return std::fputs(Markdown().c_str(), stdout) >= 0;
  std::ofstream file(path);
  file << Markdown();
  file.close();
  return file.good();
}

}  // namespace seer
