#include "common/base/timer_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace fedwatt {
namespace {

std::vector<int> TakeAll(TimerQueue* queue, int64_t now_us, std::vector<int>* ran) {
  while (auto task = queue->TakeDue(now_us)) (*task)();
  return std::exchange(*ran, {});
}

TEST(TimerQueue, GivesWhatIsDueInTheOrderOfTimesThenOfAdding) {
  std::vector<int> ran;
  TimerQueue queue;
  queue.Add(20, [&] { ran.push_back(1); });
  queue.Add(10, [&] { ran.push_back(2); });
  queue.Add(20, [&] { ran.push_back(3); });
  queue.Add(30, [&] { ran.push_back(4); });
  EXPECT_EQ(queue.NextDueUs(), 10);
  EXPECT_EQ(TakeAll(&queue, 9, &ran), std::vector<int>{});
  EXPECT_EQ(TakeAll(&queue, 20, &ran), (std::vector<int>{2, 1, 3}));
  EXPECT_EQ(queue.NextDueUs(), 30);
  EXPECT_EQ(queue.size(), 1u);
}

TEST(TimerQueue, ACancelledTaskComesBackOnce) {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  TimerQueue queue;
  const uint64_t id = queue.Add(10, [token = std::move(token)] {});
  {
    const std::optional<Task> task = queue.Cancel(id);
    EXPECT_TRUE(task.has_value());
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
  EXPECT_FALSE(queue.Cancel(id).has_value());
  EXPECT_FALSE(queue.TakeDue(10).has_value());
  EXPECT_EQ(queue.NextDueUs(), std::nullopt);
}

TEST(TimerQueue, WhatWasTakenCannotBeCancelledAndNoIdComesTwice) {
  TimerQueue queue;
  const uint64_t first = queue.Add(10, [] {});
  ASSERT_TRUE(queue.TakeDue(10).has_value());
  const uint64_t second = queue.Add(10, [] {});
  EXPECT_NE(first, 0u);
  EXPECT_NE(second, first);
  EXPECT_FALSE(queue.Cancel(first).has_value());
  EXPECT_EQ(queue.size(), 1u);
}

}  // namespace
}  // namespace fedwatt
