// Error feedback through a session: what a sparse codec drops comes with the next update, if and
// only if this one was committed.

#include <algorithm>
#include <cstring>

#include "client/sdk/assignment_store.h"
#include "client/sdk/error_feedback.h"
#include "common/codec/codec.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

namespace fs = std::filesystem;

constexpr uint64_t kElements = 1000;
constexpr char kCodec[] = "topk";

class SessionFeedbackTest : public SessionTest {
 protected:
  Assignment Sparse(const std::string& id) {
    Assignment assignment = Inline(MakeAssignment(id, kElements));
    assignment.codec = kCodec;
    return assignment;
  }
  std::string IdOf(int round) const { return absl::StrCat("job/r", round, "/a1/0"); }

  void GiveNow(const Assignment& assignment) {
    coordinator_.Give(assignment);
    Deliver();
  }
  void Resolve(const std::string& id, Outcome outcome) {
    coordinator_.Notify(id, outcome);
    Deliver();
  }
  void Deliver() {
    coordinator_.AnswerHeld();
    executor_.RunReady();
    Advance(2000);
  }
  std::vector<float> Arrived(const std::string& id) {
    const std::string& bytes = coordinator_.updates[id];
    return *DecodeAll(**MakeCodec(kCodec), AsBytes(bytes), kElements);
  }
  std::vector<std::string> ResidualFiles() const {
    std::vector<std::string> files;
    const auto names = ListDir(options_.state_dir);
    for (const std::string& name : *names) {
      if (name.starts_with("residual-")) files.push_back(options_.state_dir + "/" + name);
    }
    return files;
  }
  // Of the job's; all zero if there is none.
  std::vector<float> ResidualValues() const {
    std::vector<float> values(kElements, 0.0F);
    for (const std::string& path : ResidualFiles()) {
      const std::string bytes = *ReadFile(path, 1 << 20);
      std::memcpy(values.data(), bytes.data() + bytes.size() - kElements * sizeof(float),
                  kElements * sizeof(float));
    }
    return values;
  }
};

TEST_F(SessionFeedbackTest, WhatCommittedUpdatesDroppedArrivesLater) {
  Start();
  std::vector<double> arrived(kElements, 0.0);
  constexpr int kRounds = 30;
  for (int round = 1; round <= kRounds; ++round) {
    GiveNow(Sparse(IdOf(round)));
    ASSERT_THAT(coordinator_.reports, SizeIs(round));
    const std::vector<float> update = Arrived(IdOf(round));
    for (size_t i = 0; i < kElements; ++i) arrived[i] += update[i];
    Resolve(IdOf(round), Outcome::kCommitted);
  }
  // The trainer's delta is 0.001 times the coordinate in every round.
  const std::vector<float> residual = ResidualValues();
  for (size_t i = 0; i < kElements; ++i) {
    ASSERT_NEAR(arrived[i] + residual[i], 0.001 * static_cast<double>(i) * kRounds, 1e-3) << i;
  }
  EXPECT_GT(*std::max_element(residual.begin(), residual.end()), 1.0F);
}

TEST_F(SessionFeedbackTest, OtherOutcomesLeaveTheResidualAsItWas) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  EXPECT_THAT(ResidualFiles(), IsEmpty());
  Resolve(IdOf(1), Outcome::kCommitted);
  const std::vector<float> kept = ResidualValues();
  int round = 2;
  for (const Outcome outcome : {Outcome::kRefused, Outcome::kAbandoned, Outcome::kUnknown}) {
    GiveNow(Sparse(IdOf(round)));
    Resolve(IdOf(round), outcome);
    EXPECT_EQ(ResidualValues(), kept) << OutcomeName(outcome);
    ++round;
  }
  EXPECT_THAT(*ListDir(options_.state_dir + "/assignments"), IsEmpty());
}

TEST_F(SessionFeedbackTest, AFailedTrainingLeavesTheResidualAsItWas) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  Resolve(IdOf(1), Outcome::kCommitted);
  const std::vector<float> kept = ResidualValues();
  trainer_.error = absl::InternalError("broken");
  GiveNow(Sparse(IdOf(2)));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_EQ(ResidualValues(), kept);
}

TEST_F(SessionFeedbackTest, KilledAtAnyWriteTheUpdateAndTheResidualAreTheSame) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  Resolve(IdOf(1), Outcome::kCommitted);
  const std::vector<float> first = ResidualValues();
  std::vector<std::string> snapshots;
  SetWriteFaultForTest([&](const std::string& path, uint64_t) {
    if (path.find(options_.state_dir) != 0) return 0;
    const std::string to = absl::StrCat(dir_, "/snapshot", snapshots.size());
    fs::copy(options_.state_dir, to, fs::copy_options::recursive);
    snapshots.push_back(to);
    return 0;
  });
  GiveNow(Sparse(IdOf(2)));
  Resolve(IdOf(2), Outcome::kCommitted);
  SetWriteFaultForTest(nullptr);
  const std::string update = coordinator_.updates[IdOf(2)];
  const std::vector<float> second = ResidualValues();
  ASSERT_NE(second, first);
  Kill();
  ASSERT_GE(snapshots.size(), 6);
  for (const std::string& snapshot : snapshots) {
    SCOPED_TRACE(snapshot);
    fs::remove_all(options_.state_dir);
    fs::copy(snapshot, options_.state_dir, fs::copy_options::recursive);
    const std::vector<float> found = ResidualValues();
    EXPECT_TRUE(found == first || found == second);
    coordinator_.reports.clear();
    coordinator_.answers.clear();
    coordinator_.updates.clear();
    Start();
    Advance(2000);
    if (coordinator_.check_ins.back().holding.empty() && found == first) GiveNow(Sparse(IdOf(2)));
    if (!coordinator_.reports.empty()) {
      EXPECT_TRUE(coordinator_.updates[IdOf(2)] == update);
    }
    Resolve(IdOf(2), Outcome::kCommitted);
    EXPECT_TRUE(ResidualValues() == second);
    Kill();
  }
}

TEST_F(SessionFeedbackTest, KilledBetweenTheResidualsRenameAndTheEndOfTheAssignment) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  Kill();
  // What the commit does first.
  const AssignmentStore store(options_.state_dir + "/assignments", false);
  const std::string next = store.ResidualPath(IdOf(1));
  ASSERT_TRUE(FileExists(next));
  ASSERT_TRUE(CommitResidual(options_.state_dir, next, false).ok());
  const std::vector<float> kept = ResidualValues();
  coordinator_.Notify(IdOf(1), Outcome::kCommitted);
  Restart();
  Advance(2000);
  EXPECT_TRUE(transcript_.Has("resolved job/r1/a1/0 committed"));
  EXPECT_EQ(ResidualValues(), kept);
  EXPECT_FALSE(transcript_.Has("problem"));
}

TEST_F(SessionFeedbackTest, ADamagedResidualIsSaidAndStartsFromZero) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  Resolve(IdOf(1), Outcome::kCommitted);
  ASSERT_THAT(ResidualFiles(), SizeIs(1));
  std::string bytes = *ReadFile(ResidualFiles()[0], 1 << 20);
  bytes.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomic(ResidualFiles()[0], bytes).ok());
  GiveNow(Sparse(IdOf(2)));
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("error feedback starts anew: "));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(Arrived(IdOf(2)), Arrived(IdOf(1)));
}

TEST_F(SessionFeedbackTest, EachJobHasItsOwn) {
  Start();
  GiveNow(Sparse(IdOf(1)));
  Resolve(IdOf(1), Outcome::kCommitted);
  Assignment other = Sparse("other/r1/a1/0");
  other.key.job = "other";
  GiveNow(other);
  EXPECT_EQ(Arrived("other/r1/a1/0"), Arrived(IdOf(1)));
  Resolve("other/r1/a1/0", Outcome::kCommitted);
  EXPECT_THAT(ResidualFiles(), SizeIs(2));
}

TEST_F(SessionFeedbackTest, AClientWithoutStateRefusesBeforeItTrains) {
  options_.keeps_state = false;
  Start();
  EXPECT_FALSE(coordinator_.check_ins[0].capabilities.keeps_state);
  GiveNow(Sparse(IdOf(1)));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error, HasSubstr("the codec topk needs error feedback"));
  EXPECT_THAT(trainer_.runs, IsEmpty());
}

TEST_F(SessionFeedbackTest, AnUnknownCodecIsRefusedBeforeItTrains) {
  Assignment assignment = Sparse(IdOf(1));
  assignment.codec = "topq";
  coordinator_.Give(assignment);
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("topq"));
  EXPECT_THAT(trainer_.runs, IsEmpty());
}

}  // namespace
}  // namespace fedwatt
