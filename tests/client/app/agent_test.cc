// When an agent ends by itself, what it says of energy, and the program as a user starts it.

#include "client/app/agent.h"

#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/app/event_log.h"
#include "client/app/exit_codes.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/base/subprocess.h"
#include "common/crypto/ed25519.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::client {
namespace {

using ::testing::HasSubstr;

SessionEvent Event(SessionEventKind kind, const std::string& id = "",
                   const absl::Status& status = absl::OkStatus()) {
  SessionEvent event;
  event.kind = kind;
  event.assignment_id = id;
  event.status = status;
  return event;
}

TEST(ExitRuleTest, NeverEndsByDefault) {
  FakeClock clock;
  ExitRule rule(0, 0, &clock);
  clock.AdvanceMs(1'000'000'000);
  rule.OnEvent(Event(SessionEventKind::kResolved, "a"));
  EXPECT_FALSE(rule.Done());
}

TEST(ExitRuleTest, OnceCountsOutcomes) {
  FakeClock clock;
  ExitRule rule(2, 0, &clock);
  rule.OnEvent(Event(SessionEventKind::kReported, "a"));
  rule.OnEvent(Event(SessionEventKind::kResolved, "a"));
  EXPECT_FALSE(rule.Done());
  rule.OnEvent(Event(SessionEventKind::kResolved, "b"));
  EXPECT_TRUE(rule.Done());
  EXPECT_EQ(rule.exit_code(), kOk);
}

TEST(ExitRuleTest, IdlenessCountsFromTheLastWorkAndNotDuringIt) {
  FakeClock clock;
  ExitRule rule(0, 1000, &clock);
  clock.AdvanceMs(900);
  rule.OnEvent(Event(SessionEventKind::kAssigned, "a"));
  clock.AdvanceMs(5000);
  EXPECT_FALSE(rule.Done());
  rule.OnEvent(Event(SessionEventKind::kReported, "a"));
  clock.AdvanceMs(999);
  EXPECT_FALSE(rule.Done());
  rule.OnEvent(Event(SessionEventKind::kWaiting));  // is no work
  clock.AdvanceMs(1);
  EXPECT_TRUE(rule.Done());
  EXPECT_EQ(rule.exit_code(), kOk);
}

TEST(ExitRuleTest, TellsWhyNothingWasDone) {
  FakeClock clock;
  ExitRule rule(0, 1000, &clock);
  rule.OnEvent(Event(SessionEventKind::kWaiting, "", absl::UnavailableError("away")));
  EXPECT_EQ(rule.exit_code(), kUnreachable);
  rule.OnEvent(Event(SessionEventKind::kDenied, "", absl::UnauthenticatedError("revoked")));
  rule.OnEvent(Event(SessionEventKind::kStopped));
  EXPECT_EQ(rule.exit_code(), kRefused);
  rule.OnEvent(Event(SessionEventKind::kAssigned, "a"));
  EXPECT_EQ(rule.exit_code(), kOk);
}

TEST(EnergyTextTest, NeverAddsFiguresOfDifferentQualityOrSource) {
  Report report;
  EnergySample sample;
  sample.source = "rapl";
  sample.quality = EnergyQuality::kMeasured;
  sample.scope = EnergyScope::kPackage;
  sample.phase = Phase::kDownload;
  sample.energy_uj = 1'500'000;
  report.energy.push_back(sample);
  sample.phase = Phase::kTrain;
  sample.energy_uj = 2'000'000;
  report.energy.push_back(sample);
  sample.quality = EnergyQuality::kEstimated;
  sample.phase = Phase::kUpload;
  sample.energy_uj = 250'000;
  report.energy.push_back(sample);
  EXPECT_EQ(EnergyText(report),
            "3.50 J measured by rapl (package) + 0.25 J estimated by rapl (package)");
  sample.source = "radio";
  report.energy.push_back(sample);
  EXPECT_EQ(EnergyText(report),
            "3.50 J measured by rapl (package) + 0.25 J estimated by radio (package) + 0.25 J "
            "estimated by rapl (package)");
  sample.quality = EnergyQuality::kUnavailable;
  sample.energy_uj.reset();
  report.energy = {sample};
  EXPECT_EQ(EnergyText(report), "unavailable for upload");
  report.energy.clear();
  EXPECT_EQ(EnergyText(report), "unavailable");
}

// The real program, without a coordinator.
class ClientProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const bin = std::getenv("FEDWATT_BIN_DIR");
    ASSERT_NE(bin, nullptr);
    program_ = absl::StrCat(bin, "/fedwatt-client");
    std::filesystem::remove_all(dir_);
    ASSERT_TRUE(EnsureDir(dir_).ok());
    ASSERT_TRUE(SigningKey::Generate()->public_key().Save(dir_ + "/owner.pub").ok());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // Nobody listens on port 1 of loopback.
  absl::StatusOr<Subprocess> Spawn(const std::vector<std::string>& more,
                                   const std::string& server = "127.0.0.1:1") {
    SubprocessOptions options;
    options.argv = {program_,
                    absl::StrCat("--server=", server),
                    "--insecure-subject=c1",
                    absl::StrCat("--trusted-key=", dir_, "/owner.pub"),
                    "--dataset=d",
                    "--trainer=echo",
                    absl::StrCat("--state-dir=", dir_, "/state")};
    options.argv.insert(options.argv.end(), more.begin(), more.end());
    return Subprocess::Spawn(options);
  }
  int Run(const std::vector<std::string>& more, const std::string& server = "127.0.0.1:1") {
    auto child = Spawn(more, server);
    EXPECT_TRUE(child.ok()) << child.status();
    const auto exit = child->Wait(30'000);
    EXPECT_TRUE(exit.ok()) << exit.status();
    EXPECT_EQ(exit->signal, 0);
    return exit->code;
  }
  // False if the child ends, or takes too long.
  bool WaitForState(Subprocess* child) {
    for (int i = 0; i < 3000 && !FileExists(dir_ + "/state/session"); ++i) {
      if (child->Wait(10).ok()) return false;
    }
    return FileExists(dir_ + "/state/session");
  }

  const std::string dir_ = ::testing::TempDir() + "client_program_test";
  std::string program_;
};

TEST_F(ClientProgramTest, ChecksItsParts) { EXPECT_EQ(Run({"--check"}), kOk); }

TEST_F(ClientProgramTest, ACheckFindsAMissingTrainer) {
  EXPECT_EQ(Run({"--check", "--meter", "perpetuum"}), kUnusable);
}

TEST_F(ClientProgramTest, SaysThatNobodyAnswered) {
  EXPECT_EQ(Run({"--exit-when-idle-s", "0.3"}), kUnreachable);
}

TEST_F(ClientProgramTest, RefusesToBeInsecureOffLoopback) {
  EXPECT_EQ(Run({}, "203.0.113.1:7443"), kUsage);
}

TEST_F(ClientProgramTest, StopsOnSigtermAndLetsNobodyElseInBefore) {
  auto first = Spawn({});
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(WaitForState(&*first));
  EXPECT_EQ(Run({}), kLocked);
  ASSERT_TRUE(first->Kill(SIGTERM).ok());
  const auto exit = first->Wait(5'000);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, 0);
  EXPECT_EQ(exit->code, kOk);
  EXPECT_EQ(Run({"--exit-when-idle-s", "0.1"}), kUnreachable);  // the lock is free again
}

}  // namespace
}  // namespace fedwatt::client
