// Rules that every executor keeps, and those of each kind. The concurrent ones are written for
// ThreadSanitizer: plain variables are shared exactly where an executor promises order.

#include "common/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "common/base/mutex.h"
#include "common/base/sequential_executor.h"
#include "common/base/thread_pool.h"

namespace fedwatt {
namespace {

// Counts down to zero; Wait returns then.
class Latch {
 public:
  explicit Latch(int count) : left_(count) {}

  void CountDown() {
    MutexLock lock(&mutex_);
    --left_;
    changed_.NotifyAll();
  }

  void Wait() {
    MutexLock lock(&mutex_);
    while (left_ > 0) changed_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int left_ ABSL_GUARDED_BY(mutex_);
};

TEST(ThreadPool, RunsEveryTaskBeforeShutdownReturns) {
  std::atomic<int> ran{0};
  ThreadPool pool(4);
  for (int i = 0; i < 1000; ++i) pool.Post([&ran] { ++ran; });
  pool.Shutdown();
  EXPECT_EQ(ran, 1000);
}

TEST(ThreadPool, UsesItsThreadsAtTheSameTime) {
  ThreadPool pool(2);
  Latch both(2);
  Latch done(2);
  for (int i = 0; i < 2; ++i) {
    pool.Post([&] {
      both.CountDown();
      both.Wait();  // returns only if the other task runs too
      done.CountDown();
    });
  }
  done.Wait();
}

TEST(ThreadPool, DropsTasksPostedAfterShutdown) {
  ThreadPool pool(1);
  pool.Shutdown();
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  pool.Post([token = std::move(token)] { FAIL() << "ran after shutdown"; });
  EXPECT_TRUE(watch.expired());
  EXPECT_NE(pool.PostAfter(0, [] { FAIL() << "ran after shutdown"; }), 0U);
}

TEST(ThreadPool, TimersFireInOrderOfTheirDelayAndNotEarly) {
  ThreadPool pool(1);
  const SystemClock clock;
  Latch done(3);
  std::vector<int> order;  // one thread: no lock needed
  const int64_t start_us = clock.MonotonicUs();
  int64_t fired_us = 0;
  pool.PostAfter(20, [&] {
    order.push_back(20);
    fired_us = clock.MonotonicUs();
    done.CountDown();
  });
  pool.PostAfter(1, [&] {
    order.push_back(1);
    done.CountDown();
  });
  pool.PostAfter(-5, [&] {
    order.push_back(-5);
    done.CountDown();
  });
  done.Wait();
  EXPECT_EQ(order, (std::vector<int>{-5, 1, 20}));
  EXPECT_GE(fired_us - start_us, 20'000);
}

TEST(ThreadPool, ATimerIsNotLostWhenTheThreadThatWatchedItIsBusy) {
  ThreadPool pool(2);
  Latch fired(1);
  Latch release(1);
  Latch done(1);
  pool.PostAfter(2, [&] { fired.CountDown(); });
  pool.Post([&] {
    release.Wait();
    done.CountDown();
  });
  fired.Wait();  // while the other thread is blocked
  release.CountDown();
  done.Wait();
}

TEST(ThreadPool, ACancelledTimerNeverRuns) {
  ThreadPool pool(2);
  const uint64_t id = pool.PostAfter(60'000, [] { FAIL() << "cancelled"; });
  EXPECT_TRUE(pool.Cancel(id));
  EXPECT_FALSE(pool.Cancel(id));
  EXPECT_FALSE(pool.Cancel(9999));
}

TEST(ThreadPool, ShutdownDropsTimersThatAreNotDue) {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  ThreadPool pool(1);
  pool.PostAfter(3'600'000, [token = std::move(token)] { FAIL(); });
  pool.Shutdown();
  EXPECT_TRUE(watch.expired());
}

TEST(ThreadPool, ManyThreadsMayPostAndCancelAtOnce) {
  std::atomic<int> ran{0};
  std::atomic<int> cancelled{0};
  {
    ThreadPool pool(3);
    std::vector<std::thread> posters;
    posters.reserve(4);
    for (int t = 0; t < 4; ++t) {
      posters.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          pool.Post([&ran] { ++ran; });
          const uint64_t id = pool.PostAfter(i % 2 == 0 ? 0 : 60'000, [&ran] { ++ran; });
          if (pool.Cancel(id)) ++cancelled;
        }
      });
    }
    for (std::thread& poster : posters) poster.join();
  }
  EXPECT_EQ(ran + cancelled, 4 * 400);
}

TEST(SequentialExecutor, RunsTasksOneAtATimeInTheOrderPosted) {
  ThreadPool pool(4);
  SequentialExecutor strand(&pool);
  std::vector<int> order;  // not guarded: the strand promises that this is no race
  Latch done(1000);
  for (int i = 0; i < 1000; ++i) {
    strand.Post([&order, &done, i] {
      order.push_back(i);
      done.CountDown();
    });
  }
  done.Wait();
  ASSERT_EQ(order.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(SequentialExecutor, TwoStrandsRunAtTheSameTime) {
  ThreadPool pool(2);
  SequentialExecutor a(&pool);
  SequentialExecutor b(&pool);
  Latch both(2);
  Latch done(2);
  for (SequentialExecutor* strand : {&a, &b}) {
    strand->Post([&] {
      both.CountDown();
      both.Wait();
      done.CountDown();
    });
  }
  done.Wait();
}

TEST(SequentialExecutor, ALongQueueLetsOthersUseThePool) {
  FakeClock clock;
  ManualExecutor pool(&clock);
  SequentialExecutor busy(&pool);
  int ran = 0;
  int ran_before_other = -1;
  for (int i = 0; i < 100; ++i) busy.Post([&ran] { ++ran; });
  pool.Post([&] { ran_before_other = ran; });
  pool.RunReady();
  EXPECT_EQ(ran, 100);
  EXPECT_LT(ran_before_other, 100);
}

TEST(SequentialExecutor, TimersRunOnTheStrand) {
  FakeClock clock;
  ManualExecutor pool(&clock);
  SequentialExecutor strand(&pool);
  std::vector<int> order;
  strand.PostAfter(10, [&order] { order.push_back(10); });
  strand.PostAfter(5, [&] {
    order.push_back(5);
    strand.Post([&order] { order.push_back(6); });
  });
  const uint64_t cancelled = strand.PostAfter(7, [&order] { order.push_back(7); });
  EXPECT_TRUE(strand.Cancel(cancelled));
  EXPECT_FALSE(strand.Cancel(cancelled));
  pool.AdvanceMs(20);
  EXPECT_EQ(order, (std::vector<int>{5, 6, 10}));
}

TEST(SequentialExecutor, ATimerThatIsDueAndQueuedCanStillBeCancelled) {
  FakeClock clock;
  ManualExecutor pool(&clock);
  SequentialExecutor strand(&pool);
  const uint64_t id = strand.PostAfter(5, [] { FAIL() << "cancelled"; });
  bool cancelled = false;
  strand.Post([&] {
    clock.AdvanceMs(5);
    pool.RunReady();  // the timer fires and queues behind this task
    cancelled = strand.Cancel(id);
  });
  pool.RunReady();
  EXPECT_TRUE(cancelled);
}

TEST(SequentialExecutor, DestructionDropsWhatHasNotStarted) {
  FakeClock clock;
  ManualExecutor pool(&clock);
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  {
    SequentialExecutor strand(&pool);
    strand.Post([token] { FAIL(); });
    strand.PostAfter(5, [token = std::move(token)] { FAIL(); });
  }
  EXPECT_TRUE(watch.expired());
  pool.AdvanceMs(10);
}

TEST(SequentialExecutor, DestructionWaitsForTheRunningTask) {
  ThreadPool pool(2);
  int written = 0;  // not guarded: the destructor promises that the task is over
  Latch started(1);
  {
    SequentialExecutor strand(&pool);
    strand.Post([&] {
      started.CountDown();
      for (int i = 0; i < 100'000; ++i) ++written;
    });
    started.Wait();
  }
  EXPECT_EQ(written, 100'000);
}

TEST(SequentialExecutor, ATaskMayDestroyItsOwnExecutor) {
  ThreadPool pool(2);
  std::optional<SequentialExecutor> strand;
  strand.emplace(&pool);
  Latch destroyed(1);
  strand->Post([&] {
    strand.reset();
    destroyed.CountDown();
  });
  destroyed.Wait();
}

TEST(ManualExecutor, NothingRunsUntilItIsTold) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  int ran = 0;
  executor.Post([&ran] { ++ran; });
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(executor.pending(), 1);
  EXPECT_EQ(executor.RunReady(), 1);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(executor.pending(), 0);
}

TEST(ManualExecutor, ATimerSeesTheClockAtItsDueTime) {
  FakeClock clock(1000);
  ManualExecutor executor(&clock);
  std::vector<int64_t> seen;
  executor.PostAfter(30, [&] { seen.push_back(clock.NowMs()); });
  executor.PostAfter(10, [&] {
    seen.push_back(clock.NowMs());
    executor.PostAfter(5, [&] { seen.push_back(clock.NowMs()); });
  });
  EXPECT_EQ(executor.NextTimerDelayMs(), 10);
  EXPECT_EQ(executor.AdvanceMs(25), 2);
  EXPECT_EQ(seen, (std::vector<int64_t>{1010, 1015}));
  EXPECT_EQ(clock.NowMs(), 1025);
  EXPECT_EQ(executor.NextTimerDelayMs(), 5);
  EXPECT_EQ(executor.AdvanceMs(5), 1);
  EXPECT_EQ(executor.NextTimerDelayMs(), -1);
}

TEST(ManualExecutor, EqualTimersRunInTheOrderTheyWereMade) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) executor.PostAfter(1, [&order, i] { order.push_back(i); });
  executor.AdvanceMs(1);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(ManualExecutor, SettingTheWallClockFiresNothing) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  executor.PostAfter(10, [] { FAIL() << "only elapsed time fires timers"; });
  clock.SetMs(clock.NowMs() + 3'600'000);
  EXPECT_EQ(executor.RunReady(), 0);
  EXPECT_EQ(executor.pending(), 1);
}

TEST(ManualExecutor, ACancelledTimerNeverRuns) {
  FakeClock clock;
  ManualExecutor executor(&clock);
  const uint64_t id = executor.PostAfter(1, [] { FAIL(); });
  EXPECT_TRUE(executor.Cancel(id));
  EXPECT_FALSE(executor.Cancel(id));
  EXPECT_EQ(executor.AdvanceMs(10), 0);
}

TEST(SystemClock, MonotonicTimeNeverGoesBack) {
  const SystemClock clock;
  int64_t last = clock.MonotonicUs();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = clock.MonotonicUs();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.NowMs(), 1'600'000'000'000);
}

TEST(CondVar, WaitForReportsATimeout) {
  Mutex mutex;
  CondVar cond;
  MutexLock lock(&mutex);
  EXPECT_FALSE(cond.WaitFor(&mutex, 1000));
}

}  // namespace
}  // namespace fedwatt
