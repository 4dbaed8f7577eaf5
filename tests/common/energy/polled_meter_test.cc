#include "common/energy/polled_meter.h"

#include <atomic>
#include <latch>
#include <thread>

#include "common/base/clock.h"
#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

// Runs when the test says so.
class HandTimer final : public PollTimer {
 public:
  HandTimer(bool* running, std::function<void()> poll, std::function<void()>* tick)
      : running_(running) {
    *tick = std::move(poll);
  }
  void Resume() override { *running_ = true; }
  void Pause() override { *running_ = false; }

 private:
  bool* const running_;
};

class PolledMeterTest : public MeterTest {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    env_.start_polling = [this](int64_t period_us, std::function<void()> poll) {
      period_us_ = period_us;
      return std::make_unique<HandTimer>(&running_, std::move(poll), &tick_);
    };
  }
  int64_t period_us_ = 0;
  bool running_ = false;
  std::function<void()> tick_;
};

TEST_F(PolledMeterTest, TheTimerRunsWhileWindowsAreOpen) {
  BuildJetsonOrin(tree_);
  auto choice = ChooseEnergyMeter("auto", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(period_us_, 100'000);
  EnergyMeter& meter = *choice->meter;
  EXPECT_FALSE(running_);
  const auto outer = meter.Begin(Phase::kTrain);
  const auto inner = meter.Begin(Phase::kEncode);
  EXPECT_TRUE(running_);
  (void)meter.End(inner, 0);
  EXPECT_TRUE(running_);
  for (int i = 0; i < 50; ++i) {
    clock_.AdvanceMs(100);
    machine_us_ = own_us_ += 100'000;
    tick_();
  }
  EXPECT_EQ(meter.End(outer, 0).energy_uj, 30'000'000) << "6 W for 5 s";
  EXPECT_FALSE(running_);
}

TEST_F(PolledMeterTest, WithoutItAMeterOfPowerSeesNothing) {
  BuildJetsonOrin(tree_);
  auto choice = ChooseEnergyMeter("auto", env_);
  const EnergySample sample = Measure(*choice->meter, [&] { clock_.AdvanceMs(5000); });
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, testing::HasSubstr("nobody read it for 5 s"));
}

TEST_F(PolledMeterTest, AnEstimateNeedsNoTimer) {
  auto choice = ChooseEnergyMeter("cpu_time", env_);
  const auto window = choice->meter->Begin(Phase::kTrain);
  EXPECT_EQ(period_us_, 0);
  EXPECT_FALSE(running_);
  (void)choice->meter->End(window, 0);
}

// The timer of programs: a real thread, and windows from two others.
TEST_F(PolledMeterTest, ThreadsMayShareAMeterThatAThreadPolls) {
  BuildJetsonOrin(tree_);
  const SystemClock clock;
  env_.clock = &clock;
  env_.machine_cpu_time_us = nullptr;
  constexpr int kReadings = 40;  // of which the other thread's windows make 20
  std::atomic<int> readings = 0;
  std::latch enough(kReadings);
  env_.read_file = [&](const std::string& path) {
    if (++readings <= kReadings) enough.count_down();
    return ReadFile(path, 4096);
  };
  env_.start_polling = StartThreadPollTimer;
  auto choice = ChooseEnergyMeter("ina3221", env_);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EnergyMeter& meter = *choice->meter;
  const auto window = meter.Begin(Phase::kTrain);
  std::jthread other([&] {
    for (int i = 0; i < 5; ++i) (void)meter.End(meter.Begin(Phase::kEncode), 0);
  });
  enough.wait();
  other.join();
  const EnergySample sample = meter.End(window, 0);
  ASSERT_TRUE(sample.energy_uj.has_value()) << sample.reason;
  EXPECT_NEAR(static_cast<double>(*sample.energy_uj),
              6.0 * sample.coverage * static_cast<double>(sample.duration_us), 10)
      << "6 W over what was seen";
}

TEST(ThreadPollTimerTest, PollsWhileItRunsAndNotAfterItsEnd) {
  std::atomic<int> polls = 0;
  std::latch three(3);
  {
    const auto timer = StartThreadPollTimer(100, [&] {
      if (++polls <= 3) three.count_down();
    });
    EXPECT_EQ(polls, 0) << "it starts paused";
    timer->Resume();
    three.wait();
  }
  const int at_end = polls;
  EXPECT_GE(at_end, 3);
  EXPECT_EQ(polls, at_end);
}

}  // namespace
}  // namespace fedwatt
