#pragma once

// Runs a test over every kind of Store, by the Store interface alone.

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/records.h"

namespace fedwatt {

// A store of one kind, and what it needs.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual Store& store() = 0;
  virtual absl::Status Write(std::vector<StoreWrite> batch) = 0;
  virtual absl::Status Prune(const RetentionDays& days, int64_t now_ms) = 0;
};

class MemoryHarness final : public Harness {
 public:
  Store& store() override { return store_; }
  absl::Status Write(std::vector<StoreWrite> batch) override {
    absl::Status result = absl::UnknownError("done has not run");
    store_.Write(std::move(batch), [&result](absl::Status status) { result = std::move(status); });
    executor_.AdvanceMs(10);
    return result;
  }
  absl::Status Prune(const RetentionDays& days, int64_t now_ms) override {
    return store_.Prune(days, now_ms);
  }

 private:
  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  MemoryStore store_{&executor_, {.sync_delay_ms = 10}};
};

class SqliteHarness final : public Harness {
 public:
  SqliteHarness() : store_(*SqliteStore::Open({.dir = dir_.path()})) {}
  Store& store() override { return *store_; }
  absl::Status Write(std::vector<StoreWrite> batch) override {
    std::promise<absl::Status> result;
    store_->Write(std::move(batch),
                  [&result](absl::Status status) { result.set_value(std::move(status)); });
    return result.get_future().get();
  }
  absl::Status Prune(const RetentionDays& days, int64_t now_ms) override {
    return store_->Prune(days, now_ms);
  }

 private:
  TempDir dir_;
  std::unique_ptr<SqliteStore> store_;
};

using MakeHarness = std::unique_ptr<Harness> (*)();

class EachStore : public testing::TestWithParam<std::pair<const char*, MakeHarness>> {
 protected:
  void SetUp() override { ASSERT_TRUE(Write({PutJob{MakeJob()}}).ok()); }

  absl::Status Write(std::vector<StoreWrite> batch) { return harness_->Write(std::move(batch)); }
  Store& store() { return harness_->store(); }

  // "assigned job-1/r1/a1", ...
  std::vector<std::string> LogOf(const std::string& job) {
    static constexpr const char* kKinds[] = {"began",     "assigned",  "accepted", "refused",
                                             "abandoned", "committed", "spent"};
    std::vector<std::string> lines;
    const std::vector<LogRecord> log = *store().LoadLog(job);
    for (const LogRecord& record : log) {
      const RoundKey key = std::visit([](const auto& kind) { return kind.key; }, record);
      lines.push_back(absl::StrCat(kKinds[record.index()], " ", key.ToString()));
    }
    return lines;
  }

  // "reported", "refused: late", ...
  std::string StateOf(const RoundKey& key, uint32_t index) {
    static constexpr const char* kStates[] = {"?",         "assigned", "reported",
                                              "committed", "refused",  "abandoned"};
    const auto found = store().FindAssignment(MakeAssignmentId(key, index));
    if (!found.ok()) return found.status().ToString();
    if (!found->has_value()) return "unknown";
    const AssignmentRecord& assignment = **found;
    return absl::StrCat(kStates[static_cast<int>(assignment.state)],
                        assignment.reason.empty() ? "" : ": ", assignment.reason);
  }

  // "rapl/measured/package useful 100 wasted 0 of 1, 0 unavailable", ...
  std::vector<std::string> EnergyOf(const std::string& job) {
    std::vector<std::string> lines;
    const std::vector<EnergyTotal> totals = *store().EnergyTotals(job);
    for (const EnergyTotal& total : totals) {
      lines.push_back(absl::StrCat(total.source, "/", EnergyQualityName(total.quality), "/",
                                   EnergyScopeName(total.scope), " useful ", total.useful_uj,
                                   " wasted ", total.wasted_uj, " of ", total.samples, ", ",
                                   total.unavailable, " unavailable"));
    }
    return lines;
  }

  std::unique_ptr<Harness> harness_ = GetParam().second();
};

inline auto EveryStore() {
  return testing::Values(std::pair<const char*, MakeHarness>(
                             "memory", [] { return std::unique_ptr<Harness>(new MemoryHarness); }),
                         std::pair<const char*, MakeHarness>(
                             "sqlite", [] { return std::unique_ptr<Harness>(new SqliteHarness); }));
}

inline std::string StoreName(
    const testing::TestParamInfo<std::pair<const char*, MakeHarness>>& info) {
  return info.param.first;
}

}  // namespace fedwatt
