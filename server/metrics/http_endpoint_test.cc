#include "server/metrics/http_endpoint.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "httplib.h"

namespace seer {
namespace {

HttpEndpoint::Options TestOptions() {
  HttpEndpoint::Options options;
  options.metrics = [] { return "a_total 1\n"; };
  options.alive = [] { return true; };
  options.ready = [] { return false; };
  return options;
}

TEST(HttpEndpointTest, ServesMetricsAndProbes) {
  auto endpoint = HttpEndpoint::Start(TestOptions());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  httplib::Client client("127.0.0.1", (*endpoint)->port());
  auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->status, 200);
  EXPECT_EQ(metrics->body, "a_total 1\n");
  EXPECT_EQ(metrics->get_header_value("Content-Type"),
            "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  EXPECT_EQ(client.Get("/etc/passwd")->status, 404);
  EXPECT_EQ(client.Post("/metrics", "x", "text/plain")->status, 404);
}

TEST(HttpEndpointTest, APortInUseIsAnError) {
  auto first = HttpEndpoint::Start(TestOptions());
  ASSERT_TRUE(first.ok());
  HttpEndpoint::Options options = TestOptions();
  options.port = (*first)->port();
  const auto second = HttpEndpoint::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find("Address already in use"),
            std::string::npos)
      << second.status();
}

TEST(HttpEndpointTest, ManyScrapersAtOnce) {
  auto endpoint = HttpEndpoint::Start(TestOptions());
  ASSERT_TRUE(endpoint.ok());
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      httplib::Client client("127.0.0.1", (*endpoint)->port());
      const auto response = client.Get("/metrics");
      good += response && response->status == 200;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 20);
}

TEST(HttpEndpointTest, RefusesBadOptions) {
  HttpEndpoint::Options options = TestOptions();
  options.port = 70000;
  EXPECT_EQ(HttpEndpoint::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
