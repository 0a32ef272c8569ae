// What Open accepts, refuses and sweeps.

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/fault_point.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/catalog/catalog.h"
#include "tests/testing/server/temporary_catalog.h"
#include "tests/testing/temporary_folder.h"

namespace seer {
namespace {

using ::testing::HasSubstr;

void Execute(const std::string& path, const char* sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
}

int num_folder_syncs = 0;

int CountFolderSyncs(const char* point) {
  if (std::strcmp(point, "folder.sync") == 0) ++num_folder_syncs;
  return 0;
}

int FailCheckpoint(const char* point) {
  return std::strcmp(point, "database.checkpoint") == 0 ? EIO : 0;
}

class CatalogOpenTest : public testing::Test {
 protected:
  absl::Status OpenStatus() {
    return Catalog::Open(catalog_.options()).status();
  }
  std::string DatabasePath() {
    return catalog_.options().folder + "/catalog.sqlite";
  }

  TemporaryCatalog catalog_;
};

TEST_F(CatalogOpenTest, HasOneServer) {
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kAlreadyExists);
  catalog_.Close();
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(CatalogOpenTest, RefusesANewerServersDatabase) {
  catalog_.Close();
  Execute(DatabasePath(), "PRAGMA user_version = 1000");
  const absl::Status status = OpenStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 1000"));
}

TEST_F(CatalogOpenTest, RefusesAnotherProgramsDatabase) {
  catalog_.Close();
  std::filesystem::remove(DatabasePath());
  Execute(DatabasePath(), "CREATE TABLE theirs (x)");
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CatalogOpenTest, RefusesADamagedDatabase) {
  catalog_.AddDataset("text");
  catalog_.Close();
  std::fstream file(DatabasePath(),
                    std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(4096 + 100);
  file << std::string(8192, 'x');
  file.close();
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
  std::ofstream(DatabasePath(), std::ios::binary) << std::string(4096, 'x');
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CatalogOpenTest, KeepsBlobsWhoseDatabaseIsGone) {
  const std::string dataset = catalog_.AddDataset("text");
  const std::string path = catalog_->GetDataset(dataset).value().path;
  catalog_.Close();
  std::filesystem::remove(DatabasePath());
  for (int start = 0; start < 2; ++start) {
    EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(std::filesystem::exists(path));
  }
}

TEST_F(CatalogOpenTest, SweepsWhatNoRowHas) {
  const std::string dataset = catalog_.AddDataset("text");
  catalog_.Close();
  for (const char* name : {"/abc", "/abd.partial", "/KEEP.txt"}) {
    std::ofstream(catalog_.blobs() + name) << "stray";
  }
  catalog_.Reopen();
  EXPECT_EQ(catalog_->recovery().num_swept, 2);
  EXPECT_FALSE(std::filesystem::exists(catalog_.blobs() + "/abc"));
  EXPECT_FALSE(std::filesystem::exists(catalog_.blobs() + "/abd.partial"));
  EXPECT_TRUE(std::filesystem::exists(catalog_.blobs() + "/KEEP.txt"));
  EXPECT_TRUE(
      std::filesystem::exists(catalog_->GetDataset(dataset).value().path));
}

TEST_F(CatalogOpenTest, SweepsOnlyOnceItsRowsAreOnDisk) {
  catalog_.AddDataset("text");
  catalog_.Close();
  const std::string stray = catalog_.blobs() + "/abc";
  std::ofstream(stray) << "stray";
  SetFaultHook(&FailCheckpoint);
  catalog_.Reopen();
  SetFaultHook(nullptr);
  EXPECT_EQ(catalog_->recovery().num_swept, 0);
  EXPECT_TRUE(std::filesystem::exists(stray));
  catalog_.Reopen();
  EXPECT_EQ(catalog_->recovery().num_swept, 1);
  EXPECT_FALSE(std::filesystem::exists(stray));
}

TEST_F(CatalogOpenTest, BehindASymbolicLink) {
  const std::string dataset = catalog_.AddDataset("text");
  catalog_.Close();
  const std::string parent =
      std::filesystem::path(catalog_.options().folder).parent_path();
  const TemporaryFolder links;
  CatalogOptions options;
  // Of the parent and of the folder itself.
  std::filesystem::create_symlink(parent, links.path() + "/parent");
  std::filesystem::create_symlink(catalog_.options().folder,
                                  links.path() + "/itself");
  for (const char* name : {"/parent/state", "/itself"}) {
    options.folder = links.path() + name;
    const auto catalog = Catalog::Open(options);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    EXPECT_TRUE((*catalog)->GetDataset(dataset).ok());
  }
}

TEST_F(CatalogOpenTest, MakesItsFoldersOnDisk) {
  const TemporaryFolder parent;
  CatalogOptions options;
  options.folder = parent.path() + "/state/";
  for (const int num_syncs : {2, 0}) {  // its parent's, its own; then none
    num_folder_syncs = 0;
    SetFaultHook(&CountFolderSyncs);
    EXPECT_TRUE(Catalog::Open(options).ok());
    SetFaultHook(nullptr);
    EXPECT_EQ(num_folder_syncs, num_syncs);
  }
}

TEST_F(CatalogOpenTest, MissingParent) {
  CatalogOptions options;
  options.folder = catalog_.options().folder + "/no/such";
  EXPECT_FALSE(Catalog::Open(options).ok());
  options.folder = "";
  EXPECT_EQ(Catalog::Open(options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
