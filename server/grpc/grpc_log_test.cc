#include "server/grpc/grpc_log.h"

#include <string>
#include <vector>

#include "base/logging.h"
#include "grpc/support/log.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

TEST(GrpcLogTest, ErrorsAreWarningsAndTheRestIsDebug) {
  std::vector<std::string> lines;
  SetLogSink([&](absl::string_view line) { lines.emplace_back(line); });
  RouteGrpcLogs();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);  // before gRPC starts: none
  gpr_log("f.cc", 7, GPR_LOG_SEVERITY_ERROR, "no %s", "port");
  gpr_log("f.cc", 8, GPR_LOG_SEVERITY_INFO, "fine");
  gpr_set_log_function(nullptr);
  SetLogSink(nullptr);
  ASSERT_EQ(lines.size(), 1u);
  const auto line = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "no port");
  EXPECT_EQ(line["library"], "grpc");
  EXPECT_EQ(line["at"], "f.cc:7");
}

}  // namespace
}  // namespace seer
