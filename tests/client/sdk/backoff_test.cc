#include "client/sdk/backoff.h"

#include <set>

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

constexpr BackoffOptions kOptions{.initial_ms = 500, .max_ms = 60'000};

TEST(BackoffTest, DoublesUpToTheLimitWithJitterBelow) {
  Backoff backoff(kOptions, {.client = "a", .purpose = "test"});
  int64_t bound = 500;
  for (int i = 0; i < 100; ++i) {
    const int64_t delay = backoff.NextMs();
    EXPECT_LE(delay, bound) << i;
    EXPECT_GE(delay, bound / 2) << i;
    bound = std::min<int64_t>(bound * 2, 60'000);
  }
}

TEST(BackoffTest, ResetStartsOver) {
  Backoff backoff(kOptions, {.client = "a", .purpose = "test"});
  for (int i = 0; i < 10; ++i) backoff.NextMs();
  backoff.Reset();
  EXPECT_LE(backoff.NextMs(), 500);
}

TEST(BackoffTest, ClientsDoNotReturnTogether) {
  std::set<int64_t> delays;
  for (int client = 0; client < 100; ++client) {
    Backoff backoff({.initial_ms = 60'000, .max_ms = 60'000},
                    {.client = std::to_string(client), .purpose = "test"});
    delays.insert(backoff.NextMs());
  }
  EXPECT_GT(delays.size(), 90);
}

TEST(BackoffTest, SpreadNeverShortensAServersWait) {
  Backoff backoff(kOptions, {.client = "a", .purpose = "test"});
  for (int i = 0; i < 100; ++i) {
    const int64_t delay = backoff.Spread(1000);
    EXPECT_GE(delay, 1000);
    EXPECT_LE(delay, 1100);
  }
  EXPECT_EQ(backoff.Spread(0), 0);
  EXPECT_EQ(backoff.Spread(-5), 0);
}

}  // namespace
}  // namespace fedwatt
