#include "client/capi/host_loop.h"

#include <new>
#include <string>
#include <thread>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;

class HostLoopTest : public ::testing::Test {
 protected:
  Task Say(const std::string& what) {
    return [this, what] { said_.push_back(what); };
  }

  FakeClock clock_;
  int wakes_ = 0;
  HostLoop loop_{&clock_, [this] { ++wakes_; }};
  std::vector<std::string> said_;
};

TEST_F(HostLoopTest, RunsWhatIsPostedAndWhatIsDueInOrder) {
  loop_.PostAfter(20, Say("later"));
  loop_.PostAfter(10, Say("soon"));
  loop_.Post(Say("now"));
  EXPECT_EQ(loop_.Run().value(), 10);
  EXPECT_THAT(said_, ElementsAre("now"));
  clock_.AdvanceMs(20);
  EXPECT_EQ(loop_.Run().value(), HostLoop::kUntilWoken);
  EXPECT_THAT(said_, ElementsAre("now", "soon", "later"));
}

TEST_F(HostLoopTest, WakesItsHostOnlyWhenTheAnswerBecameWrong) {
  EXPECT_EQ(loop_.Run().value(), HostLoop::kUntilWoken);
  loop_.PostAfter(50, Say("a"));
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(loop_.Run().value(), 50);
  loop_.PostAfter(60, Say("b"));
  EXPECT_EQ(wakes_, 1) << "it is called before that anyway";
  loop_.Post(Say("c"));
  loop_.Post(Say("d"));
  EXPECT_EQ(wakes_, 2) << "once for both";
  loop_.Post([this] { loop_.Post(Say("e")); });
  EXPECT_EQ(loop_.Run().value(), 50);
  EXPECT_EQ(wakes_, 2) << "from inside it is no news";
  EXPECT_THAT(said_, ElementsAre("c", "d", "e"));
}

TEST_F(HostLoopTest, CancelsTimers) {
  const uint64_t id = loop_.PostAfter(10, Say("never"));
  EXPECT_TRUE(loop_.Cancel(id));
  EXPECT_FALSE(loop_.Cancel(id));
  clock_.AdvanceMs(100);
  EXPECT_EQ(loop_.Run().value(), HostLoop::kUntilWoken);
  EXPECT_TRUE(said_.empty());
}

// A device that slept for hours, or a host that forgot to tick.
TEST_F(HostLoopTest, DoesWhatIsOverdueOnce) {
  int looks = 0;
  std::function<void()> look = [&] {
    ++looks;
    loop_.PostAfter(5000, [&] { look(); });
  };
  loop_.PostAfter(5000, [&] { look(); });
  loop_.PostAfter(20'000, Say("retry"));
  EXPECT_EQ(loop_.Run().value(), 5000);
  clock_.AdvanceMs(7 * 3600 * 1000);
  EXPECT_EQ(loop_.Run().value(), 5000);
  EXPECT_EQ(looks, 1) << "not once for every five seconds of the night";
  EXPECT_THAT(said_, ElementsAre("retry"));
  EXPECT_EQ(loop_.Run().value(), 5000) << "and it does not spin";
  EXPECT_EQ(looks, 1);
}

TEST_F(HostLoopTest, TheWallClockIsNothingToIt) {
  loop_.PostAfter(5000, Say("due"));
  for (const int64_t hours : {-30, 60}) {
    clock_.SetMs(clock_.NowMs() + hours * 3600 * 1000);
    EXPECT_EQ(loop_.Run().value(), 5000);
  }
  EXPECT_TRUE(said_.empty());
}

TEST_F(HostLoopTest, DoesNotKeepItsHostForEver) {
  std::function<void()> again = [&] { loop_.Post([&] { again(); }); };
  again();
  EXPECT_EQ(loop_.Run().value(), 0) << "there is more";
}

TEST_F(HostLoopTest, DoesNotRunInsideOfItself) {
  absl::StatusCode inside = absl::StatusCode::kOk;
  loop_.Post([&] { inside = loop_.Run().status().code(); });
  ASSERT_TRUE(loop_.Run().ok());
  EXPECT_EQ(inside, absl::StatusCode::kFailedPrecondition);
}

TEST_F(HostLoopTest, ATaskThatThrowsEndsTheLoopAndNotTheProcess) {
  loop_.Post([] { throw std::bad_alloc(); });
  loop_.Post(Say("after"));
  EXPECT_TRUE(absl::IsResourceExhausted(loop_.Run().status()));
  EXPECT_TRUE(absl::IsResourceExhausted(loop_.Run().status())) << "for ever";
  EXPECT_TRUE(said_.empty());
}

TEST_F(HostLoopTest, SoDoesWorkThatThrowsElsewhere) {
  ManualExecutor pool(&clock_);
  GuardedExecutor guarded(&pool, &loop_);
  guarded.Post([] { throw std::string("no std::exception"); });
  pool.RunReady();
  EXPECT_TRUE(absl::IsInternal(loop_.Run().status()));
  EXPECT_EQ(wakes_, 1) << "so that the host learns of it";
}

TEST_F(HostLoopTest, TakesPostsOfManyThreads) {
  std::atomic<int> ran{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) loop_.Post([&] { ++ran; });
      });
    }
    while (ran < 2000) (void)loop_.Run();
  }
  while (*loop_.Run() == 0) {
  }
  EXPECT_EQ(ran, 4000);
  loop_.Finish();
  EXPECT_FALSE(loop_.Run().ok());
}

}  // namespace
}  // namespace fedwatt
