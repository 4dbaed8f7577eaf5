// What only a MemoryStore can do: delay durability, and lose what is not durable.

#include "server/store/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class MemoryStoreTest : public testing::Test {
 protected:
  void Write(std::vector<StoreWrite> batch, const std::string& name) {
    store_.Write(std::move(batch), [this, name](const absl::Status& status) {
      done_.push_back(status.ok() ? name : name + " failed");
    });
  }

  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  MemoryStore store_{&executor_, {.sync_delay_ms = 100}};
  std::vector<std::string> done_;
};

TEST_F(MemoryStoreTest, IsDurableAfterTheDelayAndNotBefore) {
  Write({PutJob{MakeJob()}}, "a");
  Write({Began(Train(1))}, "b");
  executor_.AdvanceMs(99);
  EXPECT_THAT(*store_.LoadJobs(), IsEmpty()) << "reads see durable batches only";
  EXPECT_EQ(store_.unsynced(), 2u);
  executor_.AdvanceMs(1);
  EXPECT_THAT(*store_.LoadJobs(), SizeIs(1));
  EXPECT_THAT(done_, ElementsAre("a", "b"));
  EXPECT_EQ(store_.unsynced(), 0u);
}

TEST_F(MemoryStoreTest, APowerCutLosesWhatIsNotDurable) {
  Write({PutJob{MakeJob()}}, "a");
  executor_.AdvanceMs(100);
  Write({Began(Train(1))}, "b");
  store_.LoseUnsynced();
  executor_.AdvanceMs(1000);
  EXPECT_THAT(done_, ElementsAre("a"));
  EXPECT_THAT(*store_.LoadJobs(), SizeIs(1));
  EXPECT_THAT(*store_.LoadLog("job-1"), IsEmpty());
  Write({Began(Train(1))}, "c");
  executor_.AdvanceMs(100);
  EXPECT_THAT(done_, ElementsAre("a", "c"));
}

TEST_F(MemoryStoreTest, AFaultFailsABatchAndNothingOfItIsApplied) {
  store_.SetFault([](const std::vector<StoreWrite>& batch) {
    return batch.size() > 1 ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  });
  Write({PutJob{MakeJob()}}, "a");
  Write({Began(Train(1)), Began(Train(2))}, "b");
  Write({Began(Train(3))}, "c");
  executor_.AdvanceMs(100);
  EXPECT_THAT(done_, ElementsAre("a", "b failed", "c"));
  EXPECT_THAT(*store_.LoadLog("job-1"), SizeIs(1));
}

TEST_F(MemoryStoreTest, ADoneMayWriteAgain) {
  store_.Write({PutJob{MakeJob()}}, [this](const absl::Status&) { Write({}, "second"); });
  executor_.AdvanceMs(200);
  EXPECT_THAT(done_, ElementsAre("second"));
}

TEST(MemoryStoreWithoutExecutor, IsDurableWhenWriteReturns) {
  MemoryStore store(nullptr);
  bool done = false;
  store.Write({PutJob{MakeJob()}}, [&done](const absl::Status& status) { done = status.ok(); });
  EXPECT_TRUE(done);
  EXPECT_THAT(*store.LoadJobs(), SizeIs(1));
}

}  // namespace
}  // namespace fedwatt
