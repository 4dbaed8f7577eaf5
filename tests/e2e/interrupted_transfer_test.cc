// A transfer that breaks after 90 % goes on where it stopped, whoever broke it: all that travels is
// at most 1.15 times the blob.

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cut_proxy.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

enum class Breaks { kClient, kCoordinator, kNetwork };

struct Case {
  std::string name;
  CutProxy::Direction direction;
  Breaks breaks;
  uint64_t parameters;
};

// In test names.
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class InterruptedTransfer : public testing::TestWithParam<Case> {
 protected:
  void Break(Deployment& fleet, CutProxy& proxy, const ClientOptions& through) {
    switch (GetParam().breaks) {
      case Breaks::kClient:
        fleet.client("client-0").Kill();
        proxy.Cut();
        proxy.Release();
        fleet.StartClient("client-0", through);
        return;
      case Breaks::kCoordinator:
        // What has passed is received before the end.
        proxy.Cut();
        fleet.KillCoordinator();
        ASSERT_TRUE(fleet.StartCoordinator());
        proxy.Release();
        return;
      case Breaks::kNetwork:
        proxy.Cut();
        proxy.Release();
        return;
    }
  }
};

TEST_P(InterruptedTransfer, GoesOnWhereItStopped) {
  const auto [name, direction, breaks, parameters] = GetParam();
  const uint64_t blob = parameters * sizeof(float);
  Deployment fleet(1);
  fleet.WriteBundle({.parameters = parameters});
  ASSERT_TRUE(fleet.StartCoordinator());
  CutProxy proxy(fleet.port());
  const ClientOptions through{.server = proxy.address()};
  fleet.StartClient("client-0", through);
  ASSERT_TRUE(fleet.WaitForClients(1));
  const uint64_t before = proxy.bytes(direction);
  proxy.HoldAfter(direction, before + blob * 9 / 10);
  const std::string job = fleet.Submit({.rounds = 1, .goal = 1});
  ASSERT_TRUE(WaitUntil("90 %", [&] { return proxy.holding(direction); }));
  Break(fleet, proxy, through);
  ASSERT_TRUE(fleet.WaitForEnd(job));

  EXPECT_EQ(fleet.Job(job).state(), v1::JOB_STATE_COMPLETED) << fleet.Job(job).reason();
  const uint64_t travelled = proxy.bytes(direction) - before;
  EXPECT_GE(travelled, blob);
  EXPECT_LE(travelled, blob * 115 / 100);
  // The report counts what was sent twice, too.
  const v1::RoundSummary& round = fleet.Job(job).rounds(0);
  const uint64_t counted = direction == CutProxy::kUp ? round.bytes_up() : round.bytes_down();
  EXPECT_GE(counted, blob);
  // It counts what it has handed to its kernel, which holds more than has passed.
  EXPECT_LE(counted, blob * 125 / 100);
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
}

constexpr uint64_t kSmall = 500'000;  // 2 MB: few chunks
constexpr uint64_t kLarge = 3'000'000;

INSTANTIATE_TEST_SUITE_P(
    All, InterruptedTransfer,
    testing::Values(Case{"UploadClientKilled", CutProxy::kUp, Breaks::kClient, kLarge},
                    Case{"UploadCoordinatorKilled", CutProxy::kUp, Breaks::kCoordinator, kLarge},
                    Case{"UploadNetworkCut", CutProxy::kUp, Breaks::kNetwork, kLarge},
                    Case{"SmallUploadNetworkCut", CutProxy::kUp, Breaks::kNetwork, kSmall},
                    Case{"DownloadClientKilled", CutProxy::kDown, Breaks::kClient, kLarge},
                    Case{"DownloadCoordinatorKilled", CutProxy::kDown, Breaks::kCoordinator,
                         kLarge},
                    Case{"DownloadNetworkCut", CutProxy::kDown, Breaks::kNetwork, kLarge},
                    Case{"SmallDownloadNetworkCut", CutProxy::kDown, Breaks::kNetwork, kSmall}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fedwatt::e2e
