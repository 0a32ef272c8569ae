#include "tests/testing/benchmark_report.h"

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(SpreadTest, MedianOfOddAndEvenNumbers) {
  const Spread odd = SpreadOf({5.0, 1.0, 3.0});
  EXPECT_EQ(odd.median, 3.0);
  EXPECT_EQ(odd.lowest, 1.0);
  EXPECT_EQ(odd.highest, 5.0);
  EXPECT_EQ(SpreadOf({4.0, 1.0, 2.0, 9.0}).median, 3.0);
  EXPECT_EQ(FormatSpread(odd, 1), "3.0 (1.0-5.0)");
}

TEST(BenchmarkReportTest, WritesFactsThenTables) {
  BenchmarkReport report("Things", "abc123");
  report.StartTable("Some", {"", "ms"});
  report.AddRow({"this", "1"});
  report.AddText("That is all.");
  report.AddFact("Flags", "--x=1");
  const std::string page = report.Markdown();
  EXPECT_EQ(page.find("# Things\n\n- Commit: abc123\n"), 0u);
  EXPECT_NE(page.find("- Flags: --x=1\n\n## Some\n\n|  | ms |\n|---|---|\n"
                      "| this | 1 |\n\nThat is all.\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("- Machine: " + DescribeMachine()), std::string::npos);
}

TEST(BenchmarkReportTest, TellsWhetherItCouldWrite) {
  const BenchmarkReport report("Things", "abc123");
  const std::string path = testing::TempDir() + "/report.md";
  EXPECT_TRUE(report.WriteTo(path));
  EXPECT_FALSE(report.WriteTo(testing::TempDir() + "/none/report.md"));
}

}  // namespace
}  // namespace seer
