#include "server/driver/grpc_adapter/upload_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace fedwatt {
namespace {

TEST(UploadBudget, GrantsWhatFitsAtOnce) {
  UploadBudget budget(100);
  EXPECT_EQ(budget.Reserve(60, [] { FAIL() << "granted at once, so no callback"; }), 0U);
  EXPECT_EQ(budget.Reserve(40, [] { FAIL() << "granted at once, so no callback"; }), 0U);
  EXPECT_EQ(budget.reserved_bytes(), 100U);
}

TEST(UploadBudget, MakesTheRestWaitInOrder) {
  UploadBudget budget(100);
  std::string granted;
  EXPECT_EQ(budget.Reserve(100, [] {}), 0U);
  EXPECT_NE(budget.Reserve(60, [&] { granted += "a"; }), 0U);
  EXPECT_NE(budget.Reserve(50, [&] { granted += "b"; }), 0U);
  EXPECT_NE(budget.Reserve(10, [&] { granted += "c"; }), 0U);
  EXPECT_EQ(granted, "");
  EXPECT_EQ(budget.waiting(), 3U);

  budget.Release(100);
  // b does not fit beside a, and c, which would, must not overtake b.
  EXPECT_EQ(granted, "a");
  budget.Release(60);
  EXPECT_EQ(granted, "abc");
  EXPECT_EQ(budget.reserved_bytes(), 60U);
}

TEST(UploadBudget, NewcomersDoNotOvertakeWhoWaits) {
  UploadBudget budget(100);
  EXPECT_EQ(budget.Reserve(90, [] {}), 0U);
  EXPECT_NE(budget.Reserve(50, [] {}), 0U);
  EXPECT_NE(budget.Reserve(10, [] {}), 0U);
}

TEST(UploadBudget, ACancelledWaiterIsNeverGranted) {
  UploadBudget budget(100);
  EXPECT_EQ(budget.Reserve(100, [] {}), 0U);
  const uint64_t ticket = budget.Reserve(10, [] { FAIL() << "granted after Cancel"; });
  EXPECT_TRUE(budget.Cancel(ticket));
  EXPECT_FALSE(budget.Cancel(ticket));
  budget.Release(100);
  EXPECT_EQ(budget.reserved_bytes(), 0U);
}

TEST(UploadBudget, CancellingTheFirstLetsSmallerOnesGo) {
  UploadBudget budget(100);
  bool granted = false;
  EXPECT_EQ(budget.Reserve(60, [] {}), 0U);
  const uint64_t large = budget.Reserve(90, [] {});
  EXPECT_NE(budget.Reserve(30, [&] { granted = true; }), 0U);
  EXPECT_TRUE(budget.Cancel(large));
  EXPECT_TRUE(granted);
}

TEST(UploadBudget, ARequestAboveTheLimitGetsItAlone) {
  UploadBudget budget(100);
  EXPECT_EQ(budget.Reserve(10, [] {}), 0U);
  bool granted = false;
  EXPECT_NE(budget.Reserve(500, [&] { granted = true; }), 0U);
  budget.Release(10);
  EXPECT_TRUE(granted);
  EXPECT_NE(budget.Reserve(1, [] {}), 0U);
}

TEST(UploadBudget, ManyThreadsNeverExceedTheLimit) {
  UploadBudget budget(10);
  std::atomic<int> finished{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const auto use = [&] {
          if (budget.reserved_bytes() > 10) exceeded = true;
          ++finished;
        };
        // A callback may not release in place: that would recurse as deep as the queue is long.
        std::atomic<bool> granted{false};
        if (budget.Reserve(3, [&] { granted = true; }) != 0) {
          while (!granted) std::this_thread::yield();
        }
        use();
        budget.Release(3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(finished, 4000);
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.reserved_bytes(), 0U);
}

}  // namespace
}  // namespace fedwatt
