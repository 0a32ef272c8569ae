#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"

namespace seer {
namespace {

constexpr int kThreads = 4;

template <typename Function>
void InThreads(const Function& function) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(function, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(CatalogThreadsTest, UploadsDoNotMix) {
  CatalogOptions options;
  options.sync_bytes = 1000;
  TemporaryCatalog catalog(options);
  InThreads([&](int thread) {
    const std::string content(10'000, static_cast<char>('a' + thread));
    const std::string id =
        catalog
            ->CreateUpload(UploadOf(UploadKind::kDataset, content), TestTime())
            .value()
            .id;
    for (int64_t end = 0; end < 10'000;) {
      const absl::string_view bytes =
          absl::string_view(content).substr(end, 700);
      end = catalog->AppendToUpload(id, end, bytes, TestTime()).value();
    }
    EXPECT_TRUE(catalog->SealUpload(id, TestTime()).ok());
    EXPECT_TRUE(catalog->FinishDataset(id, {1, {}}, TestTime()).ok());
  });
  EXPECT_EQ(catalog->ListDatasets({100, ""}).value().items.size(), kThreads);
}

TEST(CatalogThreadsTest, OfManyActivationsAtOnceOneWins) {
  TemporaryCatalog catalog;
  std::vector<std::string> ids;
  for (int i = 0; i < kThreads; ++i) {
    ids.push_back(catalog.AddGateSet(absl::StrCat("gate ", i)));
  }
  const std::string etag = catalog->GetRollout("m").value().etag;
  std::atomic<int> num_won{0};
  std::atomic<int> winner{-1};
  InThreads([&](int thread) {
    RolloutChange change;
    change.stable = ids[thread];
    change.etag = etag;
    const absl::Status status =
        catalog->UpdateRollout("m", change, TestTime()).status();
    if (status.ok()) {
      ++num_won;
      winner = thread;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    }
  });
  EXPECT_EQ(num_won, 1);
  EXPECT_EQ(catalog->GetRollout("m").value().stable, ids[winner]);
}

}  // namespace
}  // namespace seer
