#include "client/sdk/boot_log.h"

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "gtest/gtest.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

constexpr int64_t kHourMs = 3'600'000;

class BootLogTest : public ::testing::Test {
 protected:
  // A process starts, in the boot of this id.
  BootLog Start(const std::string& boot) {
    EXPECT_TRUE(WriteFileAtomic(source_, boot + "\n").ok());
    BootLog log = Load(clock_);
    EXPECT_TRUE(log.Save().ok());
    return log;
  }

  BootLog Load(const FakeClock& clock) const {
    return BootLog::Load(
        dir_.File("boot"), source_, [&clock] { return clock.MonotonicUs(); }, clock.NowMs());
  }

  const TempDir dir_;
  const std::string source_ = dir_.File("boot_id");
  FakeClock clock_;
};

TEST_F(BootLogTest, TellsARebootFromARestartOfTheProcess) {
  EXPECT_FALSE(Start("first").rebooted()) << "nothing is known of before";
  EXPECT_FALSE(Start("first").rebooted());
  EXPECT_TRUE(Start("second").rebooted());
  EXPECT_FALSE(Start("second").rebooted());
  EXPECT_FALSE(Start("").rebooted()) << "not known";
  EXPECT_FALSE(Start("second").rebooted());
  ASSERT_TRUE(WriteFileAtomic(dir_.File("boot"), "damaged").ok());
  EXPECT_FALSE(Start("third").rebooted());
}

TEST_F(BootLogTest, ItsTimeIsNotSetByAnybody) {
  const BootLog first = Start("first");
  const int64_t begin_ms = first.NowMs();
  EXPECT_EQ(begin_ms, clock_.NowMs());
  for (const int64_t jump_ms : {-5 * kHourMs, 48 * kHourMs}) {
    clock_.SetMs(clock_.NowMs() + jump_ms);
    EXPECT_EQ(first.NowMs(), begin_ms);
    EXPECT_EQ(Start("first").NowMs(), begin_ms) << "nor between two processes";
  }
  clock_.AdvanceMs(7000);
  EXPECT_EQ(first.NowMs(), begin_ms + 7000);
  EXPECT_EQ(Start("first").NowMs(), begin_ms + 7000);
}

TEST_F(BootLogTest, AfterABootItBeginsWithTheWallClock) {
  Start("first");
  clock_.SetMs(clock_.NowMs() + kHourMs);
  EXPECT_EQ(Start("second").NowMs(), clock_.NowMs());
  // Of a clock that began anew although the id did not.
  ASSERT_TRUE(Start("second").Save().ok());
  FakeClock younger(clock_.NowMs() + kHourMs);
  clock_.AdvanceMs(1);
  Start("third");
  EXPECT_EQ(Load(younger).NowMs(), younger.NowMs());
}

}  // namespace
}  // namespace fedwatt
