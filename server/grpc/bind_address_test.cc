#include "server/grpc/bind_address.h"

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(BindAddressTest, BracketsIpv6) {
  EXPECT_EQ((BindAddress{"127.0.0.1", 50051}.ToString()), "127.0.0.1:50051");
  EXPECT_EQ((BindAddress{"::1", 0}.ToString()), "[::1]:0");
}

TEST(BindAddressTest, KnowsLoopback) {
  for (const char* host : {"127.0.0.1", "127.9.8.7", "::1", "localhost"}) {
    EXPECT_TRUE((BindAddress{host, 1}.IsLoopback())) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1",
                           "example.org", "127.0.0.1.example.org"}) {
    EXPECT_FALSE((BindAddress{host, 1}.IsLoopback())) << host;
  }
}

}  // namespace
}  // namespace seer
