// Plans that kill the process.

#include <cerrno>

#include "client/sdk/plan_quarantine.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class SessionQuarantineTest : public SessionTest {
 protected:
  // Starts, gets `assignment` unless it is in the state folder already, and dies in the middle of
  // its training: the folder is what it was at that instant.
  void DieOf(const std::optional<Assignment>& assignment) {
    const std::string then = dir_ + "/then";
    trainer_.during_run = [&] {
      fs::remove_all(then);
      fs::copy(dir_ + "/state", then, fs::copy_options::recursive);
    };
    if (assignment.has_value()) coordinator_.Give(*assignment);
    Start();
    trainer_.during_run = nullptr;
    ASSERT_TRUE(fs::exists(then)) << "there was no training to die of";
    Kill();
    coordinator_.reports.clear();
    fs::remove_all(dir_ + "/state");
    fs::rename(then, dir_ + "/state");
    transcript_ = Transcript();
  }

  // The machine's boot from now on.
  void UseBoot(const std::string& id) {
    options_.boot_id_file = dir_ + "/boot_id";
    ASSERT_TRUE(WriteFileAtomic(options_.boot_id_file, id + "\n").ok());
  }

  Assignment OfRound(uint64_t round) {
    Assignment assignment = MakeAssignment(absl::StrCat("job/r", round, "/a1/0"), 100);
    assignment.key.round = round;
    return assignment;
  }
};

TEST_F(SessionQuarantineTest, OneDeathIsNoReason) {
  DieOf(OfRound(1));
  Start();
  EXPECT_TRUE(transcript_.Has("its plan has 1 death of the process and 0 reboots"))
      << "people can read of it";
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, TheSecondEndsItAndTheCoordinatorIsTold) {
  DieOf(OfRound(1));
  DieOf(std::nullopt);
  const size_t runs = trainer_.runs.size();
  Start();
  EXPECT_EQ(trainer_.runs.size(), runs);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error,
              HasSubstr("2 deaths of the process and 0 reboots while it worked on this plan"));
}

TEST_F(SessionQuarantineTest, HoldsForTheJobsLaterRoundsAndForNobodyElse) {
  DieOf(OfRound(1));
  DieOf(std::nullopt);
  coordinator_.Give(OfRound(2));
  Assignment other = MakeAssignment("other/r1/a1/0", 100);
  other.key.job = "other";
  coordinator_.Give(other);
  Start();
  Advance(60'000);
  ASSERT_THAT(coordinator_.reports, SizeIs(3));
  EXPECT_THAT(coordinator_.reports[1].error, HasSubstr("quarantined"));
  EXPECT_EQ(coordinator_.reports[2].assignment_id, "other/r1/a1/0");
  EXPECT_EQ(coordinator_.reports[2].status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, ATrainingThatEndsForgivesEarlierDeaths) {
  DieOf(OfRound(1));
  Start();  // and this time it lives
  Kill();
  coordinator_.Notify("job/r1/a1/0", Outcome::kCommitted);
  DieOf(OfRound(2));
  Start();
  EXPECT_TRUE(transcript_.Has("its plan has 1 death of the process and 0 reboots"));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, AMachineThatWentDownTwiceIsNoReason) {
  UseBoot("first");
  DieOf(OfRound(1));
  UseBoot("second");
  DieOf(std::nullopt);
  UseBoot("third");
  Start();
  EXPECT_TRUE(transcript_.Has("the machine went down while it worked on job/r1/a1/0"));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, AMachineThatGoesDownEveryTimeIs) {
  UseBoot("0");
  DieOf(OfRound(1));
  for (int boot = 1; boot < 4; ++boot) {
    UseBoot(absl::StrCat(boot));
    DieOf(std::nullopt);
  }
  UseBoot("4");
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("0 deaths of the process and 4 reboots"));
}

TEST_F(SessionQuarantineTest, AFailureIsNoDeath) {
  trainer_.error = absl::InternalError("the loss is nan");
  for (uint64_t round = 1; round <= 3; ++round) {
    coordinator_.Give(OfRound(round));
    Restart();
  }
  for (const Report& report : coordinator_.reports) {
    EXPECT_THAT(report.error, HasSubstr("the loss is nan"));
  }
  EXPECT_FALSE(transcript_.Has("death"));
}

TEST_F(SessionQuarantineTest, StoppingInOrderIsNoDeath) {
  trainer_.during_run = [&] { session_->Stop([] {}); };
  trainer_.error = absl::CancelledError("told to stop");
  coordinator_.Give(OfRound(1));
  Start();
  trainer_.during_run = nullptr;
  trainer_.error = absl::OkStatus();
  Restart();
  EXPECT_FALSE(transcript_.Has("death"));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, ANewVersionOfTheAppTriesAgain) {
  DieOf(OfRound(1));
  DieOf(std::nullopt);
  Start();
  Kill();
  options_.app_version = "2.0";
  coordinator_.reports.clear();
  coordinator_.Give(OfRound(2));
  Start();
  Advance(1000);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionQuarantineTest, WhatCannotBeNotedDoesNotBegin) {
  int writes = 0;
  trainer_.during_run = [&] { ++writes; };
  coordinator_.Give(Inline(OfRound(1)));
  int journal_writes = 0;
  SetWriteFaultForTest([&](const std::string& path, uint64_t) {
    // The first entry is the assignment, the second that training begins.
    if (path.ends_with(".journal")) ++journal_writes;
    return journal_writes == 2 ? ENOSPC : 0;
  });
  Start();
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(writes, 0);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("cannot note that the work begins"));
}

}  // namespace
}  // namespace fedwatt
