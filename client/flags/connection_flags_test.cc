#include "client/flags/connection_flags.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

// OK, or the error, of the options that these arguments of an admin command
// make, with a token.
absl::Status Check(std::vector<std::string> args) {
  const std::string token = ::testing::TempDir() + "/token";
  std::ofstream(token) << "a-token-of-the-server\n";
  args.push_back("--admin_token_file=" + token);
  FlagSet flags;
  ConnectionFlags connection;
  connection.AddTo(ServerPort::kGateAdmin, &flags);
  const auto parsed = flags.Parse(args);
  if (!parsed.ok()) return parsed.status();
  const auto options = connection.Options();
  if (!options.ok()) return options.status();
  EXPECT_EQ(options->bearer_token, "a-token-of-the-server");
  return absl::OkStatus();
}

TEST(ConnectionFlagsTest, ATokenStaysOnTheMachineWithoutTls) {
  EXPECT_TRUE(Check({}).ok());
  for (const char* local :
       {"127.0.0.1:8472", "127.8.9.10:8472", "localhost:8472", "[::1]:8472",
        "unix:/run/seer", "unix:///run/seer", "unix-abstract:seer",
        "ipv4:127.0.0.1:8472", "ipv6:[::1]:8472", "dns:///localhost:8472"}) {
    EXPECT_TRUE(Check({std::string("--server=") + local}).ok()) << local;
  }
  for (const char* remote :
       {"10.0.0.1:8472", "128.0.0.1:8472", "example.com:8472",
        "127.0.0.1.example.com:8472", "localhost.example.com:8472",
        "[2001:db8::1]:8472", "[::]:8472", "0.0.0.0:8472",
        "dns:///example.com:8472", "dns://localhost:53/example.com:8472",
        "ipv4:127.0.0.1:8472,10.0.0.1:8472", "xds:///localhost:8472"}) {
    const std::string server = std::string("--server=") + remote;
    const absl::Status status = Check({server});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << remote;
    EXPECT_THAT(std::string(status.message()), HasSubstr("clear text"));
    EXPECT_TRUE(Check({server, "--tls"}).ok()) << remote;
    EXPECT_TRUE(Check({server, "--allow_insecure_token"}).ok()) << remote;
  }
}

}  // namespace
}  // namespace seer
