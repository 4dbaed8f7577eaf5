#include "common/base/signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace fedwatt {
namespace {

TEST(ShutdownSignal, ASignalMakesTheDescriptorReadable) {
  const auto shutdown = ShutdownSignal::Install();
  ASSERT_TRUE(shutdown.ok());
  EXPECT_FALSE((*shutdown)->requested());
  EXPECT_FALSE((*shutdown)->WaitFor(0));
  raise(SIGTERM);
  EXPECT_TRUE((*shutdown)->requested());
  EXPECT_EQ((*shutdown)->signal_number(), SIGTERM);
  pollfd poll_fd{(*shutdown)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
  (*shutdown)->WaitForShutdown();
}

TEST(ShutdownSignal, WakesAThreadThatWaits) {
  const auto shutdown = ShutdownSignal::Install();
  ASSERT_TRUE(shutdown.ok());
  std::thread waiter([&] { (*shutdown)->WaitForShutdown(); });
  (*shutdown)->Request();
  waiter.join();
  EXPECT_EQ((*shutdown)->signal_number(), 0);
}

TEST(ShutdownSignal, ThereCanBeOneAtATime) {
  {
    const auto first = ShutdownSignal::Install();
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(ShutdownSignal::Install().status().code(), absl::StatusCode::kFailedPrecondition);
  }
  const auto again = ShutdownSignal::Install();
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE((*again)->requested());
}

void RaiseTwice() {
  const auto shutdown = ShutdownSignal::Install();
  raise(SIGINT);
  const bool first_was_heard = shutdown.ok() && (*shutdown)->requested();
  if (first_was_heard) raise(SIGINT);
  _exit(0);
}

TEST(ShutdownSignalDeathTest, ASecondSignalEndsAProcessThatHangs) {
  EXPECT_EXIT(RaiseTwice(), testing::ExitedWithCode(128 + SIGINT), "");
}

}  // namespace
}  // namespace fedwatt
