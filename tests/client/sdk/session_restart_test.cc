// kill -9 at every write, and what is found damaged afterwards.

#include <algorithm>
#include <cerrno>

#include "client/sdk/assignment_store.h"
#include "gmock/gmock.h"
#include "tests/client/sdk/old_journal.h"
#include "tests/client/sdk/session_fixture.h"

namespace fedwatt {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSmall = 100;
constexpr uint64_t kLarge = 200'000;
constexpr char kId[] = "job/r1/a1/0";

class SessionRestartTest : public SessionTest {
 protected:
  // Copies the state folder before every write of it: what a kill at that instant leaves.
  void SnapshotEveryWrite() {
    SetWriteFaultForTest([this](const std::string& path, uint64_t) {
      if (path.find(dir_ + "/state/") != 0) return 0;
      Snapshot();
      return 0;
    });
  }
  void Snapshot() {
    const std::string to = absl::StrCat(dir_, "/snapshot", snapshots_.size());
    fs::copy(dir_ + "/state", to, fs::copy_options::recursive);
    snapshots_.push_back({to, static_cast<int>(trainer_.runs.size()), Stage(to)});
  }
  // Of the only assignment in a state folder; 0 if there is none.
  static int Stage(const std::string& state) {
    AssignmentStore store(state + "/assignments", false);
    std::vector<std::string> problems;
    if (!FileExists(state + "/assignments")) return 0;
    // LoadAll tidies up: look at a copy.
    const std::string copy = state + ".look";
    fs::copy(state + "/assignments", copy, fs::copy_options::recursive);
    auto records = AssignmentStore(copy, false).LoadAll(&problems);
    fs::remove_all(copy);
    if (!records.ok() || records->empty()) return 0;
    return static_cast<int>((*records)[0].stage);
  }

  // What is left of a kill before each of its writes leads to the same report, and to a second
  // training only if the first had not ended.
  void KillAtEveryWrite(const Assignment& assignment) {
    coordinator_.Give(assignment);
    SnapshotEveryWrite();
    Start();
    Snapshot();
    SetWriteFaultForTest(nullptr);
    const std::string expected = coordinator_.updates[kId];
    ASSERT_EQ(expected.size(), assignment.model.size);
    Kill();
    ASSERT_GE(snapshots_.size(), 8);
    int stages_seen = 0;
    for (const Taken& taken : snapshots_) {
      SCOPED_TRACE(absl::StrCat(taken.dir, " at stage ", taken.stage));
      stages_seen |= 1 << taken.stage;
      fs::remove_all(options_.state_dir);
      fs::copy(taken.dir, options_.state_dir, fs::copy_options::recursive);
      trainer_.runs.clear();
      coordinator_.updates.clear();
      coordinator_.reports.clear();
      coordinator_.answers.clear();
      transcript_ = Transcript();
      // The coordinator still has the assignment: it gives it to whoever does not hold it, and
      // wants the update of whoever says that it was reported.
      if (taken.stage == 0) coordinator_.Give(assignment);
      if (taken.stage == 4) coordinator_.Notify(kId, Outcome::kWanted);
      Start();
      Advance(2000);
      EXPECT_EQ(trainer_.runs.size(), taken.stage >= 2 ? 0 : 1);
      ASSERT_THAT(coordinator_.reports, SizeIs(1));
      EXPECT_EQ(LastReport().status, ReportStatus::kOk) << LastReport().error;
      EXPECT_TRUE(coordinator_.updates[kId] == expected);
      EXPECT_EQ(LastReport().weight, 600);
      Kill();
    }
    EXPECT_EQ(stages_seen, 0b11111);
  }

  std::string JournalPath() const {
    return AssignmentStore(options_.state_dir + "/assignments", false).JournalPath(kId);
  }
  std::string UpdatePath() const {
    return AssignmentStore(options_.state_dir + "/assignments", false).UpdatePath(kId);
  }

  struct Taken {
    std::string dir;
    int runs;
    int stage;
  };
  std::vector<Taken> snapshots_;
};

TEST_F(SessionRestartTest, KilledAtAnyWriteItReportsTheSameBytesAndTrainsOnlyWhatWasNotTrained) {
  KillAtEveryWrite(MakeAssignment(kId, kLarge));
}

TEST_F(SessionRestartTest, KilledAtAnyWriteOfASmallModelLikewise) {
  KillAtEveryWrite(Inline(MakeAssignment(kId, kSmall)));
}

TEST_F(SessionRestartTest, AnUploadGoesOnAfterAKill) {
  coordinator_.Give(MakeAssignment(kId, kLarge));
  coordinator_.cut_upload_at = 720'000;
  Start();
  ASSERT_THAT(coordinator_.reports, IsEmpty());
  Restart();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(coordinator_.bytes_up, 800'000);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
  EXPECT_EQ(coordinator_.check_ins.back().max_wait_ms, 20'000);
}

TEST_F(SessionRestartTest, ADownloadGoesOnAfterAKill) {
  coordinator_.Give(MakeAssignment(kId, kLarge));
  coordinator_.cut_download_at = 720'000;
  Start();
  Restart();
  // Asked first, without waiting, whether the work is still wanted.
  EXPECT_EQ(coordinator_.check_ins[1].max_wait_ms, 0);
  ASSERT_THAT(coordinator_.check_ins[1].holding, SizeIs(1));
  EXPECT_EQ(coordinator_.check_ins[1].holding[0].stage, HoldingStage::kWorking);
  Advance(0);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_TRUE(transcript_.Has("from 720000 of 800000 bytes: model"));
}

TEST_F(SessionRestartTest, BytesThatWereMovedJustBeforeAKillAreCounted) {
  const Assignment assignment = MakeAssignment(kId, kLarge);
  coordinator_.Give(assignment);
  // Killed before the end of a call, so that nobody could say how much of it had happened.
  coordinator_.stall_downloads_at = 700'000;
  coordinator_.stall_uploads_at = 720'000;
  Start();
  Restart();
  Advance(0);
  ASSERT_THAT(coordinator_.reports, IsEmpty());
  Restart();
  Advance(0);
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().metrics.bytes_down, assignment.model.size + assignment.bundle.size);
  EXPECT_EQ(LastReport().metrics.bytes_up, kLarge * 4);
  uint64_t unmetered = 0;
  for (const EnergySample& sample : LastReport().energy) {
    if (sample.reason == "the client was killed during this transfer") unmetered += sample.bytes;
  }
  // And the rest of the upload, 80'000, which its report precedes: one gap of one phase.
  EXPECT_EQ(unmetered, 700'000 + 720'000 + 80'000);
}

TEST_F(SessionRestartTest, WorkThatIsNoLongerWantedIsDropped) {
  coordinator_.Give(MakeAssignment(kId, kLarge));
  coordinator_.cut_download_at = 1000;
  Start();
  coordinator_.Notify(kId, Outcome::kAbandoned, "the attempt ended");
  Restart();
  EXPECT_EQ(transcript_.lines.back(), "resolved job/r1/a1/0 abandoned: the attempt ended");
  EXPECT_THAT(trainer_.runs, IsEmpty());
  EXPECT_THAT(*ListDir(options_.state_dir + "/assignments"), IsEmpty());
}

TEST_F(SessionRestartTest, WorkGoesOnThoughTheCoordinatorIsAway) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  trainer_.during_run = [&] { Kill(); };
  Start();
  trainer_.during_run = nullptr;
  coordinator_.away = true;
  trainer_.runs.clear();
  Restart();
  Advance(0);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
  EXPECT_THAT(coordinator_.reports, IsEmpty());
  coordinator_.away = false;
  Advance(60'000);
  EXPECT_THAT(coordinator_.reports, SizeIs(1));
}

TEST_F(SessionRestartTest, ACorruptJournalIsNamedAndRemovedAndNothingElseIsHarmed) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  coordinator_.Give(Inline(MakeAssignment("job/r2/a1/0", kSmall)));
  Start();
  Kill();
  std::string journal = *ReadFile(JournalPath(), 1 << 20);
  journal[journal.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(JournalPath(), journal).ok());
  Restart();
  EXPECT_THAT(transcript_.lines[0],
              HasSubstr(".journal cannot be used and was removed: DATA_LOSS: its content does not "
                        "match its own hash"));
  ASSERT_THAT(coordinator_.check_ins.back().holding, SizeIs(1));
  EXPECT_EQ(coordinator_.check_ins.back().holding[0].assignment_id, "job/r2/a1/0");
}

TEST_F(SessionRestartTest, ATruncatedOrEmptyJournalIsNoCrash) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  Start();
  Kill();
  const std::string journal = *ReadFile(JournalPath(), 1 << 20);
  for (const size_t bytes : {size_t{0}, size_t{7}, size_t{40}, size_t{100}}) {
    ASSERT_TRUE(WriteFileAtomic(JournalPath(), journal.substr(0, bytes)).ok());
    Restart();
    EXPECT_TRUE(transcript_.Has("cannot be used and was removed")) << bytes;
    EXPECT_THAT(coordinator_.check_ins.back().holding, IsEmpty());
  }
}

TEST_F(SessionRestartTest, AnUpdateThatAnEarlierVersionKeptIsSentAndNotTrainedAgain) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  trainer_.during_run = [&] { coordinator_.away = true; };
  Start();
  Kill();
  ASSERT_THAT(coordinator_.reports, IsEmpty());
  const std::string update = *ReadFile(UpdatePath(), 1 << 20);
  const AssignmentStore store(options_.state_dir + "/assignments", false);
  std::vector<std::string> problems;
  MakeOld(store, store.LoadAll(&problems)->at(0));
  ASSERT_FALSE(FileExists(UpdatePath()));
  coordinator_.away = false;
  Restart();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
  EXPECT_EQ(coordinator_.updates[kId], update);
  EXPECT_THAT(trainer_.runs, SizeIs(1));
}

TEST_F(SessionRestartTest, ADeltaThatAnEarlierVersionKeptIsEncodedAlsoWithoutItsInlineBundle) {
  Assignment assignment = Inline(MakeAssignment(kId, kSmall));
  coordinator_.Give(assignment);
  SnapshotEveryWrite();
  Start();
  SetWriteFaultForTest(nullptr);
  Kill();
  const auto trained = std::find_if(snapshots_.begin(), snapshots_.end(), [](const Taken& taken) {
    return taken.stage == static_cast<int>(WorkStage::kTrained);
  });
  ASSERT_NE(trained, snapshots_.end());
  fs::remove_all(options_.state_dir);
  fs::copy(trained->dir, options_.state_dir, fs::copy_options::recursive);
  const AssignmentStore store(options_.state_dir + "/assignments", false);
  std::vector<std::string> problems;
  MakeOld(store, store.LoadAll(&problems)->at(0));
  fs::remove_all(options_.state_dir + "/cache");
  trainer_.runs.clear();
  coordinator_.reports.clear();
  coordinator_.updates.clear();
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk) << LastReport().error;
  EXPECT_EQ(coordinator_.updates[kId].size(), kSmall * 4);
  EXPECT_THAT(trainer_.runs, IsEmpty());
}

TEST_F(SessionRestartTest, ACorruptModelInTheCacheIsDownloadedAgain) {
  const Assignment assignment = MakeAssignment(kId, kLarge);
  ASSERT_TRUE(EnsureDir(options_.state_dir + "/cache").ok());
  const std::string cached = options_.state_dir + "/cache/" + DigestHex(assignment.model.sha256);
  ASSERT_TRUE(WriteFileAtomic(cached, std::string(kLarge * 4, 'x')).ok());
  coordinator_.Give(assignment);
  Start();
  EXPECT_THAT(transcript_.Line("problem"), HasSubstr("it was altered or damaged; downloading it"));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionRestartTest, ADamagedKeptUpdateIsReportedAndNotSent) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  coordinator_.away = false;
  trainer_.during_run = [&] { coordinator_.away = true; };
  Start();
  Kill();
  std::string update = *ReadFile(UpdatePath(), 1 << 20);
  update[0] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(UpdatePath(), update).ok());
  coordinator_.away = false;
  Restart();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error, HasSubstr("the kept update is damaged"));
  EXPECT_EQ(LastReport().update.size, 0);
}

TEST_F(SessionRestartTest, ARestartWithoutTheDatasetFailsTheWorkInsteadOfCrashing) {
  coordinator_.Give(MakeAssignment(kId, kLarge));
  coordinator_.cut_download_at = 1000;
  Start();
  options_.datasets.clear();
  Restart();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_THAT(LastReport().error, HasSubstr("this client has no dataset digits"));
}

TEST_F(SessionRestartTest, AFullDiskOnReceiptFailsTheAssignmentAndTheNextOneWorks) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  SetWriteFaultForTest([this](const std::string& path, uint64_t) {
    return path.find("/assignments/") != std::string::npos && path.find(dir_) == 0 ? ENOSPC : 0;
  });
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error, HasSubstr("RESOURCE_EXHAUSTED"));
  EXPECT_THAT(LastReport().error, HasSubstr("free space on the file system"));
  EXPECT_THAT(trainer_.runs, IsEmpty());
  SetWriteFaultForTest(nullptr);
  coordinator_.Give(Inline(MakeAssignment("job/r2/a1/0", kSmall)));
  coordinator_.AnswerHeld();
  executor_.RunReady();
  ASSERT_THAT(coordinator_.reports, SizeIs(2));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionRestartTest, AFullDiskDuringTrainingIsReported) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  SetWriteFaultForTest(
      [](const std::string& path, uint64_t) { return path.ends_with(".delta") ? ENOSPC : 0; });
  Start();
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kFailed);
  EXPECT_THAT(LastReport().error, HasSubstr("RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(coordinator_.holds_check_in());
}

TEST_F(SessionRestartTest, AFullDiskAfterTrainingCostsOnlyDurability) {
  coordinator_.Give(Inline(MakeAssignment(kId, kSmall)));
  trainer_.during_run = [] {
    SetWriteFaultForTest([](const std::string& path, uint64_t) {
      return path.find(".journal") != std::string::npos ? ENOSPC : 0;
    });
  };
  Start();
  EXPECT_TRUE(transcript_.Has("problem: cannot write down the state of job/r1/a1/0"));
  ASSERT_THAT(coordinator_.reports, SizeIs(1));
  EXPECT_EQ(LastReport().status, ReportStatus::kOk);
}

TEST_F(SessionRestartTest, TheCacheStaysWithinItsLimit) {
  options_.cache_limit_bytes = 1'000'000;
  for (int round = 1; round <= 3; ++round) {
    const uint64_t elements = 100'000 + static_cast<uint64_t>(round);
    coordinator_.Give(MakeAssignment(absl::StrCat("job/r", round, "/a1/0"), elements));
  }
  Start();
  Advance(1000);
  EXPECT_THAT(coordinator_.reports, SizeIs(3));
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(options_.state_dir + "/cache")) {
    bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 1'000'000);
  EXPECT_GT(bytes, 800'000);
}

}  // namespace
}  // namespace fedwatt
