#include "common/energy/attribution.h"

#include <cmath>

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

MachineWindow Window() {
  return {.energy_uj = 100e6,
          .duration_us = 10 * kSecondUs,
          .own_cpu_us = 5 * kSecondUs,
          .machine_cpu_us = 20 * kSecondUs};
}

TEST(AttributionTest, WithoutAnIdleFigureIdleIsSharedOutToo) {
  const auto own = AttributeByCpuTime(Window());
  ASSERT_TRUE(own.ok());
  EXPECT_DOUBLE_EQ(own->energy_uj, 25e6);
  EXPECT_FALSE(own->idle_subtracted);
}

TEST(AttributionTest, IdleIsTakenOffTheMachineFirst) {
  MachineWindow window = Window();
  window.idle_watts = 4;
  const auto own = AttributeByCpuTime(window);
  EXPECT_DOUBLE_EQ(own->energy_uj, 15e6) << "a quarter of 100 J - 40 J";
  EXPECT_TRUE(own->idle_subtracted);
  window.idle_watts = 11;
  EXPECT_EQ(AttributeByCpuTime(window)->energy_uj, 0) << "never negative";
}

TEST(AttributionTest, OursIsNeverMoreThanTheMachines) {
  MachineWindow window = Window();
  window.own_cpu_us = 30 * kSecondUs;
  EXPECT_DOUBLE_EQ(AttributeByCpuTime(window)->energy_uj, 100e6);
}

TEST(AttributionTest, AWindowWithinATickIsNotChargedWithTheWholeMachine) {
  MachineWindow window = {.energy_uj = 1000, .duration_us = 1000, .own_cpu_us = 1000};
  const auto own = AttributeByCpuTime(window);
  EXPECT_DOUBLE_EQ(own->energy_uj, 100) << "1 ms of a tick of 10 ms";
  EXPECT_GT(std::sqrt(own->variance_uj2), 30) << "and little is known";
  window.own_cpu_us = 0;
  EXPECT_EQ(AttributeByCpuTime(window)->energy_uj, 0);
}

TEST(AttributionTest, UncertaintyOfTheMachineScalesWithTheShare) {
  MachineWindow window = Window();
  window.variance_uj2 = 16e12;
  EXPECT_NEAR(std::sqrt(AttributeByCpuTime(window)->variance_uj2), 1e6, 1e4);
}

TEST(AttributionTest, CpuTimeThatWentBackIsAnError) {
  MachineWindow window = Window();
  window.machine_cpu_us = -1;
  EXPECT_FALSE(AttributeByCpuTime(window).ok());
  window = Window();
  window.own_cpu_us = -1;
  EXPECT_FALSE(AttributeByCpuTime(window).ok());
}

}  // namespace
}  // namespace fedwatt
