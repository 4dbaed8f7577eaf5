// Clocks that are set, and devices that sleep.

#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kHourMs = 3'600'000;

class SessionClockTest : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    UseBoot("first");
  }
  void UseBoot(const std::string& id) {
    options_.boot_id_file = dir_ + "/boot_id";
    ASSERT_TRUE(WriteFileAtomic(options_.boot_id_file, id).ok());
  }
  void SetWallClock(int64_t by_ms) { clock_.SetMs(clock_.NowMs() + by_ms); }

  // Receives work with a deadline of an hour, and is killed before it has done it.
  void ReceiveAndDie() {
    coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
    coordinator_.stall_downloads_at = 10;
    Start();
    ASSERT_TRUE(transcript_.Has("assigned"));
    Kill();
    transcript_ = Transcript();
  }

  // The deadline is a minute nearer after a minute, whatever the wall clock did in it.
  void ExpectDeadlineOver(int64_t jump_ms) {
    ReceiveAndDie();
    SetWallClock(jump_ms);
    clock_.AdvanceMs(60'000);
    Start();
    ASSERT_THAT(coordinator_.reports, SizeIs(1));
    EXPECT_EQ(LastReport().status, ReportStatus::kOk);
    EXPECT_EQ(trainer_.runs.back().time_left_ms, kHourMs - 60'000);
  }
};

TEST_F(SessionClockTest, SettingTheWallClockChangesNoDeadlineOfThisProcess) {
  for (const int64_t jump_ms : {-48 * kHourMs, 48 * kHourMs}) {
    trainer_.during_run = [&] { SetWallClock(jump_ms); };
    coordinator_.Give(MakeAssignment(absl::StrCat("job/r", jump_ms, "/a1/0"), 100));
    if (session_ == nullptr) Start();
    Advance(60'000);
    EXPECT_EQ(LastReport().status, ReportStatus::kOk);
    EXPECT_EQ(trainer_.runs.back().time_left_ms > 0, true);
  }
  EXPECT_THAT(coordinator_.reports, SizeIs(2));
}

TEST_F(SessionClockTest, NorOfTheNextOneWhenItGoesBack) { ExpectDeadlineOver(-48 * kHourMs); }

TEST_F(SessionClockTest, NorOfTheNextOneWhenItGoesForward) { ExpectDeadlineOver(48 * kHourMs); }

TEST_F(SessionClockTest, AfterARebootTheWallClockIsAllThereIs) {
  ReceiveAndDie();
  UseBoot("second");
  SetWallClock(2 * kHourMs);
  Start();
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
  EXPECT_THAT(LastReport().error, HasSubstr("deadline"));
}

TEST_F(SessionClockTest, AClockThatWentBackWithTheRebootExtendsNothing) {
  ReceiveAndDie();
  UseBoot("second");
  SetWallClock(-100 * kHourMs);
  Start();
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_LE(trainer_.runs.back().time_left_ms, kHourMs);
}

TEST_F(SessionClockTest, WorkThatWasSleptThroughIsGivenUpAndSaidOnce) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  // The monotonic clock stands still while the device sleeps.
  int64_t slept_us = 0;
  boot_time_us_ = [&] { return clock_.MonotonicUs() + slept_us; };
  coordinator_.transfer_ms = 10'000;
  Start();
  slept_us = 7 * kHourMs * 1000;
  SetWallClock(7 * kHourMs);
  Advance(60'000);
  EXPECT_TRUE(trainer_.runs.empty());
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
}

// Where it does not, as with a host that did not run its executor.
TEST_F(SessionClockTest, OverdueWorkIsGivenUpAndSaidOnce) {
  coordinator_.Give(MakeAssignment("job/r1/a1/0", 100));
  coordinator_.transfer_ms = 10'000;
  Start();
  clock_.AdvanceMs(7 * kHourMs);
  executor_.RunReady();
  Advance(60'000);
  EXPECT_TRUE(trainer_.runs.empty());
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kCancelled);
}

TEST_F(SessionClockTest, OverdueWaitsHappenOnceAndInNoHurry) {
  coordinator_.away = true;
  Start();
  Advance(10'000);
  const size_t before = coordinator_.check_ins.size();
  clock_.AdvanceMs(7 * kHourMs);
  const int ran = executor_.RunReady();
  EXPECT_EQ(coordinator_.check_ins.size(), before + 1) << "not one for each that was slept through";
  EXPECT_LT(ran, 20) << "and nothing spins";
  SetWallClock(-7 * kHourMs);
  EXPECT_EQ(executor_.RunReady(), 0);
  SetWallClock(30 * kHourMs);
  EXPECT_EQ(executor_.RunReady(), 0);
  EXPECT_LE(executor_.NextTimerDelayMs(), options_.backoff.max_ms) << "back-off has a bound";
}

TEST_F(SessionClockTest, ConditionsAreLookedAtOnceAfterASleep) {
  class Counting final : public DeviceConditions {
   public:
    DeviceState Read() override {
      ++reads;
      return {};
    }
    int reads = 0;
  } conditions;
  conditions_ = &conditions;
  Start();
  Advance(30'000);
  const int before = conditions.reads;
  clock_.AdvanceMs(7 * kHourMs);
  executor_.RunReady();
  EXPECT_LE(conditions.reads, before + 2);
  session_.reset();
}

}  // namespace
}  // namespace fedwatt
