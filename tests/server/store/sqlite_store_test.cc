// What concerns the database behind a SqliteStore: restarts, full disks, damage, the writer.

#include "server/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

absl::Status WriteTo(SqliteStore& store, std::vector<StoreWrite> batch) {
  std::promise<absl::Status> result;
  store.Write(std::move(batch),
              [&result](absl::Status status) { result.set_value(std::move(status)); });
  return result.get_future().get();
}

// As any other program may.
std::vector<std::string> Sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  std::vector<std::string> rows;
  const auto add = [](void* out, int columns, char** values, char**) {
    std::string row;
    for (int i = 0; i < columns; ++i) {
      absl::StrAppend(&row, i == 0 ? "" : "|", values[i] == nullptr ? "NULL" : values[i]);
    }
    static_cast<std::vector<std::string>*>(out)->push_back(row);
    return 0;
  };
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), add, &rows, &error), SQLITE_OK)
      << (error == nullptr ? "" : error);
  sqlite3_free(error);
  sqlite3_close(db);
  return rows;
}

class SqliteStoreTest : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> Open() {
    auto store = SqliteStore::Open({.dir = dir_.path()});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  std::string Database() const { return dir_.File("fedwatt.db"); }

  TempDir dir_;
};

TEST_F(SqliteStoreTest, AReopenedStoreHasEverything) {
  {
    const auto store = Open();
    ASSERT_TRUE(
        WriteTo(*store, {PutJob{MakeJob()}, Assigned(Train(1), {"ann", "bob"}),
                         Accepted(Train(1), 0), Committed(Train(1)), Committed(Evaluate(1)),
                         Began(Train(2)), Assigned(Train(2), {"ann"}), Accepted(Train(2), 0)})
            .ok());
  }
  const auto store = Open();
  ASSERT_THAT(*store->LoadJobs(), SizeIs(1));
  EXPECT_THAT(*store->LoadLog("job-1"), SizeIs(4));
  EXPECT_EQ((*store->LastCommit("job-1"))->key, Train(1));
  EXPECT_THAT(*store->LoadModels("job-1"), SizeIs(1));
  EXPECT_EQ((*store->LoadRounds("job-1"))[0].evaluation->accuracy, 0.875);
  EXPECT_EQ((*store->LoadHistory("job-1"))[0].participations, 2u);
  EXPECT_EQ((*store->FindAssignment("job-1/r1/a1/0"))->state, AssignmentState::kCommitted);
  EXPECT_EQ((*store->EnergyTotals("job-1"))[0].useful_uj, 100);
  ASSERT_TRUE(WriteTo(*store, {Committed(Train(2))}).ok());
  EXPECT_EQ((*store->EnergyTotals("job-1"))[0].useful_uj, 200) << "pending survived";
}

TEST_F(SqliteStoreTest, DestructionCommitsWhatIsQueued) {
  std::atomic<int> done = 0;
  {
    const auto store = Open();
    store->Write({PutJob{MakeJob()}}, [&done](const absl::Status& status) { done += status.ok(); });
    for (uint64_t round = 1; round <= 50; ++round) {
      store->Write({Committed(Train(round))},
                   [&done](const absl::Status& status) { done += status.ok(); });
    }
  }
  EXPECT_EQ(done, 51);
  EXPECT_THAT(*Open()->LoadRounds("job-1"), SizeIs(50));
}

TEST_F(SqliteStoreTest, EveryKeyStartsWithTenantAndPopulation) {
  Open();
  for (const std::string& table :
       Sql(Database(), "SELECT name FROM sqlite_master WHERE type = 'table'")) {
    if (table == "schema_version") continue;
    EXPECT_THAT(Sql(Database(), absl::StrCat("SELECT name FROM pragma_table_info('", table,
                                             "') WHERE pk BETWEEN 1 AND 3 ORDER BY pk")),
                ElementsAre("tenant", "population", "job"))
        << table;
  }
}

TEST_F(SqliteStoreTest, CommitsAreSyncedAndJournaledInWalMode) {
  const auto store = Open();
  EXPECT_THAT(Sql(Database(), "PRAGMA journal_mode"), ElementsAre("wal"));
}

TEST_F(SqliteStoreTest, UnavailableEnergyIsNullInTheTable) {
  const auto store = Open();
  ASSERT_TRUE(WriteTo(*store, {PutJob{MakeJob()}, Assigned(Train(1), {"ann"}),
                               Accepted(Train(1), 0, {MakeSample(std::nullopt)})})
                  .ok());
  EXPECT_THAT(Sql(Database(),
                  "SELECT client, source, quality, scope, energy_uj, sigma_uj, "
                  "idle_subtracted, coverage, duration_us, bytes, \"use\" FROM energy"),
              ElementsAre("ann|rapl|5|2|NULL|NULL|1|0.75|2000000|1234|1"));
}

TEST_F(SqliteStoreTest, TotalsAreTheSumOfTheSettledSamples) {
  const auto store = Open();
  ASSERT_TRUE(WriteTo(*store, {PutJob{MakeJob()}}).ok());
  for (uint64_t round = 1; round <= 20; ++round) {
    std::vector<StoreWrite> batch = {Assigned(Train(round), {"ann", "bob", "cat"})};
    const auto energy = static_cast<int64_t>(round * 7);
    batch.push_back(Accepted(Train(round), 0, {MakeSample(energy), MakeSample(1, "hwmon")}));
    batch.push_back(Refused(Train(round), 1, "failed", {{MakeSample(energy * 3)}}));
    if (round % 3 == 0) {
      batch.push_back(Abandoned(Train(round), "error"));
    } else if (round % 5 != 0) {
      batch.push_back(Committed(Train(round)));
    }
    ASSERT_TRUE(WriteTo(*store, std::move(batch)).ok());
  }
  EXPECT_EQ(Sql(Database(),
                "SELECT source, quality, scope, SUM(useful_uj), SUM(wasted_uj), SUM(samples) "
                "FROM energy_totals GROUP BY 1, 2, 3"),
            Sql(Database(),
                "SELECT source, quality, scope, SUM(energy_uj) FILTER (WHERE \"use\" = 2), "
                "SUM(energy_uj) FILTER (WHERE \"use\" = 3), COUNT(*) FROM energy "
                "WHERE \"use\" <> 1 GROUP BY 1, 2, 3"));
}

// ---- opening

TEST_F(SqliteStoreTest, ASecondCoordinatorIsRefusedWithTheHoldersPid) {
  const auto store = Open();
  const absl::Status status = SqliteStore::Open({.dir = dir_.path()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(dir_.path()), HasSubstr(absl::StrCat(getpid()))));
}

TEST_F(SqliteStoreTest, ADatabaseOfANewerProgramIsRefused) {
  Open();
  Sql(Database(), "UPDATE schema_version SET version = 7");
  const absl::Status status = SqliteStore::Open({.dir = dir_.path()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("version 7"), HasSubstr(Database())));
  EXPECT_THAT(Sql(Database(), "SELECT version FROM schema_version"), ElementsAre("7"));
}

TEST_F(SqliteStoreTest, ADatabaseOfTheFirstVersionGoesOn) {
  ASSERT_TRUE(
      WriteTo(*Open(), {PutJob{MakeJob()}, Assigned(Train(1), {"ann"}),
                        Accepted(Train(1), 0, {MakeSample(70), MakeSample(std::nullopt, "hwmon")}),
                        Committed(Train(1))})
          .ok());
  Sql(Database(), "ALTER TABLE assignments DROP COLUMN codec");
  Sql(Database(), "ALTER TABLE assignments DROP COLUMN codec_reason");
  Sql(Database(), "ALTER TABLE history DROP COLUMN cost");
  Sql(Database(), "ALTER TABLE history DROP COLUMN sketch");
  Sql(Database(), R"(
CREATE TABLE first (
  tenant TEXT NOT NULL, population TEXT NOT NULL, job TEXT NOT NULL,
  evaluation INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
  idx INTEGER NOT NULL, phase INTEGER NOT NULL, source TEXT NOT NULL, client TEXT NOT NULL,
  quality INTEGER NOT NULL, scope INTEGER NOT NULL, energy_uj INTEGER, sigma_uj INTEGER,
  machine_energy_uj INTEGER, idle_subtracted INTEGER NOT NULL, coverage REAL NOT NULL,
  duration_us INTEGER NOT NULL, bytes INTEGER NOT NULL, reason TEXT NOT NULL,
  "use" INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant, population, job, evaluation, round, attempt, idx, phase, source))
  WITHOUT ROWID;
INSERT INTO first
  SELECT tenant, population, job, evaluation, round, attempt, idx, phase, source, client, quality,
         scope, energy_uj, sigma_uj, machine_energy_uj, idle_subtracted, coverage, duration_us,
         bytes, reason, "use", at_ms FROM energy;
DROP TABLE energy;
ALTER TABLE first RENAME TO energy;
)");
  Sql(Database(), "DROP TABLE energy_sums; DROP TABLE reservations; DROP TABLE client_sums");
  Sql(Database(), "UPDATE schema_version SET version = 1");
  const auto store = Open();
  const auto found = store->FindAssignment("job-1/r1/a1/0");
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
  EXPECT_EQ((*found)->client, "ann");
  EXPECT_EQ((*found)->codec, "");
  ASSERT_TRUE(WriteTo(*store, {Assigned(Train(2), {"bob"})}).ok());
  EXPECT_THAT(Sql(Database(), "SELECT client, codec, codec_reason FROM assignments"),
              ElementsAre("ann||", "bob||"));
  const auto sums = store->EnergySums("job-1", EnergyAxis::kDay, {});
  ASSERT_TRUE(sums.ok()) << sums.status();
  ASSERT_THAT(*sums, SizeIs(2)) << "what was booked before has its sums now";
  EXPECT_EQ((*sums)[0].label.source, "hwmon");
  EXPECT_EQ((*sums)[0].figures.unavailable, 1u);
  EXPECT_EQ((*sums)[1].figures.energy_uj, 70);
  EXPECT_EQ((*sums)[1].label.use, JouleUse::kUseful);
  EXPECT_EQ((*sums)[1].label.hour, HourOf(kNowMs) / 24 * 24);
  const auto clients = store->EnergySums("job-1", EnergyAxis::kClient, {});
  ASSERT_THAT(*clients, SizeIs(2));
  EXPECT_EQ((*clients)[1].label.client, "ann");
  EXPECT_EQ((*clients)[1].figures.energy_uj, 70);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsNamed) {
  ASSERT_TRUE(WriteFileAtomic(Database(), std::string(8192, 'x')).ok());
  const absl::Status status = SqliteStore::Open({.dir = dir_.path()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(Database()));
}

TEST_F(SqliteStoreTest, ADamagedDatabaseIsNamed) {
  {
    const auto store = Open();
    ASSERT_TRUE(WriteTo(*store, {PutJob{MakeJob()}}).ok());
    for (uint64_t round = 1; round <= 300; ++round) {
      store->Write({Committed(Train(round))}, [](const absl::Status&) {});
    }
  }
  {
    // Every page but the first, which holds the schema.
    const uint64_t size = *FileSize(Database());
    std::fstream file(Database(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(size - 4096, '\x5a');
  }
  const absl::Status status = SqliteStore::Open({.dir = dir_.path()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(Database()));
}

// ---- the full disk

TEST_F(SqliteStoreTest, AFullDatabaseFailsTheBatchWholeAndLaterOnesMaySucceed) {
  auto store = *SqliteStore::Open({.dir = dir_.path(), .max_database_bytes = 400 * 1024});
  ASSERT_TRUE(WriteTo(*store, {PutJob{MakeJob()}, Began(Train(1))}).ok());
  AppendLog huge = Assigned(Train(1), {"ann"});
  std::get<ClientsAssigned>(huge.record).selector_state = std::string(1 << 20, 's');

  const absl::Status status = WriteTo(*store, {PutJob{MakeJob("job-2")}, huge});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(Database()), HasSubstr("bytes free")));
  EXPECT_THAT(*store->LoadJobs(), SizeIs(1)) << "nothing of the batch";
  EXPECT_FALSE(store->FindAssignment("job-1/r1/a1/0")->has_value());

  EXPECT_TRUE(WriteTo(*store, {Assigned(Train(1), {"ann"})}).ok());
  EXPECT_TRUE(store->FindAssignment("job-1/r1/a1/0")->has_value());
}

TEST_F(SqliteStoreTest, OneBatchTooManyTakesNoOtherOfItsGroupDown) {
  auto store = *SqliteStore::Open({.dir = dir_.path(), .max_database_bytes = 400 * 1024});
  AppendLog huge = Assigned(Train(2), {"ann"});
  std::get<ClientsAssigned>(huge.record).selector_state = std::string(1 << 20, 's');
  // While the first `done` blocks the writer, the rest becomes one group.
  std::promise<void> go;
  store->Write({PutJob{MakeJob()}}, [&go](const absl::Status&) { go.get_future().wait(); });
  std::vector<std::promise<absl::Status>> results(4);
  const auto done = [&results](size_t i) {
    return [&results, i](absl::Status status) { results[i].set_value(std::move(status)); };
  };
  store->Write({Began(Train(1))}, done(0));
  store->Write({huge}, done(1));
  store->Write({Began(Train(1, 1, "ghost"))}, done(2));
  store->Write({Began(Train(3))}, done(3));
  go.set_value();
  EXPECT_TRUE(results[0].get_future().get().ok());
  EXPECT_EQ(results[1].get_future().get().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(results[2].get_future().get().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(results[3].get_future().get().ok());
  EXPECT_THAT(*store->LoadLog("job-1"), SizeIs(2));
}

// ---- the writer

TEST_F(SqliteStoreTest, ManyThreadsWriteAndReadAtOnce) {
  const auto store = Open();
  for (int job = 0; job < 4; ++job) {
    ASSERT_TRUE(WriteTo(*store, {PutJob{MakeJob(absl::StrCat("job-", job))}}).ok());
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&store, job = absl::StrCat("job-", t)] {
      for (uint64_t round = 1; round <= 20; ++round) {
        const RoundKey key = Train(round, 1, job);
        EXPECT_TRUE(WriteTo(*store, {Assigned(key, {"ann"}), Accepted(key, 0)}).ok());
        EXPECT_EQ((*store->FindAssignment(MakeAssignmentId(key, 0)))->state,
                  AssignmentState::kReported)
            << "a read sees what was acknowledged";
        EXPECT_TRUE(WriteTo(*store, {Committed(key)}).ok());
        EXPECT_EQ((*store->LastCommit(job))->key, key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(SqliteStoreTest, WriteWaitsWhileTheQueueIsFull) {
  auto store = *SqliteStore::Open({.dir = dir_.path(), .max_queued_batches = 2});
  std::promise<void> go;
  store->Write({PutJob{MakeJob()}}, [&go](const absl::Status&) { go.get_future().wait(); });
  std::atomic<int> written = 0;
  std::thread writer([&] {
    for (uint64_t round = 1; round <= 10; ++round) {
      store->Write({Committed(Train(round))}, [](const absl::Status&) {});
      ++written;
    }
  });
  while (written < 2) std::this_thread::yield();
  EXPECT_LE(written, 3) << "two wait, and one may be on its way to the writer";
  go.set_value();
  writer.join();
  EXPECT_EQ(written, 10);
}

TEST_F(SqliteStoreTest, ADoneMayWriteIntoAFullQueue) {
  auto store = *SqliteStore::Open({.dir = dir_.path(), .max_queued_batches = 1});
  std::promise<absl::Status> last;
  store->Write({PutJob{MakeJob()}}, [&](const absl::Status&) {
    store->Write({Began(Train(1))}, [](const absl::Status&) {});
    store->Write({Began(Train(2))}, [&last](absl::Status status) { last.set_value(status); });
  });
  EXPECT_TRUE(last.get_future().get().ok());
  EXPECT_THAT(*store->LoadLog("job-1"), SizeIs(2));
}

}  // namespace
}  // namespace fedwatt
