#include "common/base/cpu_time.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "common/base/file.h"
#include "common/base/subprocess.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

// Work that the compiler cannot remove.
uint64_t Burn(uint64_t steps) {
  volatile uint64_t x = 1;
  for (uint64_t i = 0; i < steps; ++i) x = x * 6364136223846793005U + 1;
  return x;
}

TEST(CpuTime, GrowsWithWorkAndNeverShrinks) {
  const int64_t before = SelfCpuTimeUs();
  EXPECT_GT(before, 0);
  Burn(20'000'000);
  EXPECT_GT(SelfCpuTimeUs(), before + 1000);
}

TEST(CpuTime, OfAnotherProcessUntilItHasEnded) {
  EXPECT_GT(*ProcessCpuTimeUs(getpid()), 0);
  auto child = Subprocess::Spawn({.argv = {"true"}});
  ASSERT_TRUE(child.ok());
  const pid_t pid = child->pid();
  ASSERT_TRUE(child->Wait(20'000).ok());
  EXPECT_EQ(ProcessCpuTimeUs(pid).status().code(), absl::StatusCode::kNotFound);
}

TEST(CpuTime, OfTheMachineIsEverythingButIdleAndIowait) {
  const TempDir root;
  ASSERT_TRUE(EnsureDir(root.File("proc")).ok());
  ASSERT_TRUE(WriteFileAtomic(root.File("proc/stat"),
                              "cpu  1 2 4 1000 5000 8 16 32 0 0\n"
                              "cpu0 9 9 9 9 9 9 9 9 9 9\n")
                  .ok());
  const int64_t tick_us = 1'000'000 / sysconf(_SC_CLK_TCK);
  EXPECT_EQ(*MachineCpuTimeUs(root.path()), (1 + 2 + 4 + 8 + 16 + 32) * tick_us);
  EXPECT_GT(*MachineCpuTimeUs(), 0);
}

TEST(CpuTime, AnUnreadableStatisticIsAnErrorAndNotZero) {
  const TempDir root;
  EXPECT_EQ(MachineCpuTimeUs(root.path()).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(EnsureDir(root.File("proc")).ok());
  ASSERT_TRUE(WriteFileAtomic(root.File("proc/stat"), "intr 1 2 3\n").ok());
  EXPECT_EQ(MachineCpuTimeUs(root.path()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace fedwatt
