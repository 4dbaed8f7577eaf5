#include "server/driver/work_queue.h"

#include <vector>

#include "common/base/manual_executor.h"
#include "common/base/thread_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;

TEST(WorkQueue, RunsInOrderAndAtMostSoManyAtOnce) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  WorkQueue queue(&executor, 2);
  std::vector<int> ran;
  for (int i = 0; i < 5; ++i) queue.Post([&ran, i] { ran.push_back(i); });
  EXPECT_EQ(executor.pending(), 2);
  executor.RunReady();
  EXPECT_THAT(ran, ElementsAre(0, 1, 2, 3, 4));
  queue.Post([&ran] { ran.push_back(5); });
  executor.RunReady();
  EXPECT_EQ(ran.size(), 6u);
}

TEST(WorkQueue, CloseDropsWhatWaitsAndRefusesMore) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  int ran = 0;
  {
    WorkQueue queue(&executor, 1);
    queue.Post([&ran] { ++ran; });
    queue.Close();
    queue.Post([&ran] { ++ran; });
  }
  executor.RunReady();
  EXPECT_EQ(ran, 0);
}

TEST(WorkQueue, CloseWaitsForWhatRuns) {
  ThreadPool pool(2);
  std::atomic<bool> started = false;
  std::atomic<bool> go_on = false;
  std::atomic<bool> ended = false;
  auto queue = std::make_unique<WorkQueue>(&pool, 1);
  queue->Post([&] {
    started = true;
    started.notify_all();
    go_on.wait(false);
    ended = true;
  });
  started.wait(false);
  pool.Post([&] {
    go_on = true;
    go_on.notify_all();
  });
  queue->Close();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace fedwatt
