#include "client/sdk/assignment_store.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/sdk/old_journal.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

KeptAssignment MakeRecord(const std::string& id, int64_t received_ms) {
  KeptAssignment record;
  record.stage = WorkStage::kReady;
  record.assignment.id = id;
  record.assignment.key = {"job", 3, 2, false};
  record.assignment.model.size = 7;
  record.assignment.model.sha256 = Sha256Of(AsBytes("model"));
  record.assignment.plan.proximal_mu = 0.125;
  record.assignment.plan.optimizer.lr = 0.1;
  record.assignment.time_left_ms = 60'000;
  record.assignment.max_weight = 12;
  record.model_inline = true;
  record.received_ms = received_ms;
  record.delta_bytes = 99;
  record.report.assignment_id = id;
  record.report.weight = 11;
  record.report.metrics.named["auc"] = 0.1 + 0.2;
  record.report.update.size = 5;
  record.report.update.sha256 = Sha256Of(AsBytes("update"));
  return record;
}

class AssignmentStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    ASSERT_TRUE(store_.Create().ok());
  }
  void TearDown() override {
    SetWriteFaultForTest(nullptr);
    std::filesystem::remove_all(dir_);
  }
  std::vector<KeptAssignment> Load() {
    problems_.clear();
    auto records = store_.LoadAll(&problems_);
    EXPECT_TRUE(records.ok()) << records.status();
    return records.ok() ? *records : std::vector<KeptAssignment>();
  }

  void WriteJournal(const std::string& bytes) {
    FileWriter file = *FileWriter::Create(store_.JournalPath("a"));
    ASSERT_TRUE(file.Append(AsBytes(bytes)).ok());
  }

  const std::string dir_ = ::testing::TempDir() + "assignment_store_test";
  const AssignmentStore store_{dir_, GetParam()};
  std::vector<std::string> problems_;
};

TEST_P(AssignmentStoreTest, GivesBackExactlyWhatWasPut) {
  const KeptAssignment record = MakeRecord("job/r3/a2/0", 5);
  ASSERT_TRUE(store_.Put(record).ok());
  const std::vector<KeptAssignment> records = Load();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(EncodeEntry(records[0], true), EncodeEntry(record, true));
  EXPECT_EQ(records[0].assignment.plan.proximal_mu, 0.125);
  EXPECT_EQ(records[0].report.metrics.named.at("auc"), 0.1 + 0.2);
  EXPECT_TRUE(records[0].model_inline);
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_P(AssignmentStoreTest, ReplacesAndRemovesAndOrdersByReceipt) {
  ASSERT_TRUE(store_.Put(MakeRecord("b", 1)).ok());
  ASSERT_TRUE(store_.Put(MakeRecord("a", 2)).ok());
  KeptAssignment changed = MakeRecord("b", 1);
  changed.stage = WorkStage::kReported;
  ASSERT_TRUE(store_.Put(changed).ok());
  std::vector<KeptAssignment> records = Load();
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].assignment.id, "b");
  EXPECT_EQ(records[0].stage, WorkStage::kReported);
  ASSERT_TRUE(WriteFileAtomic(store_.UpdatePath("b"), "bytes").ok());
  ASSERT_TRUE(store_.Remove("b").ok());
  ASSERT_TRUE(store_.Remove("b").ok());  // again
  EXPECT_THAT(Load(), SizeIs(1));
  EXPECT_FALSE(FileExists(store_.UpdatePath("b")));
}

TEST_P(AssignmentStoreTest, ProgressKeepsTheAssignment) {
  KeptAssignment record = MakeRecord("a", 1);
  ASSERT_TRUE(store_.Put(record).ok());
  record.stage = WorkStage::kReported;
  record.report.weight = 12;
  ASSERT_TRUE(store_.PutProgress(record).ok());
  const std::vector<KeptAssignment> records = Load();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(EncodeEntry(records[0], true), EncodeEntry(record, true));
}

TEST_P(AssignmentStoreTest, AJournalThatIsCutAnywhereSaysWhatItsWholeEntriesSay) {
  KeptAssignment record = MakeRecord("a", 1);
  std::vector<uint64_t> ends;
  std::vector<std::string> expected;
  for (const WorkStage stage : {WorkStage::kAssigned, WorkStage::kTrained, WorkStage::kReady}) {
    record.stage = stage;
    ASSERT_TRUE((ends.empty() ? store_.Put(record) : store_.PutProgress(record)).ok());
    ends.push_back(*FileSize(store_.JournalPath("a")));
    expected.push_back(EncodeEntry(record, true));
  }
  const std::string whole = *ReadFile(store_.JournalPath("a"), 1 << 20);
  for (uint64_t bytes = 0; bytes <= whole.size(); ++bytes) {
    SCOPED_TRACE(bytes);
    WriteJournal(whole.substr(0, bytes));
    const std::vector<KeptAssignment> records = Load();
    const size_t entries = static_cast<size_t>(
        std::count_if(ends.begin(), ends.end(), [bytes](uint64_t end) { return end <= bytes; }));
    ASSERT_THAT(records, SizeIs(entries > 0 ? 1 : 0));
    EXPECT_THAT(problems_, SizeIs(entries > 0 ? 0 : 1));
    if (entries == 0) continue;
    EXPECT_EQ(EncodeEntry(records[0], true), expected[entries - 1]);
    // What comes after it is found again.
    record.stage = WorkStage::kReported;
    ASSERT_TRUE(store_.PutProgress(record).ok());
    EXPECT_EQ(Load().at(0).stage, WorkStage::kReported);
  }
}

TEST_P(AssignmentStoreTest, AJournalOfManyEntriesIsWrittenAnew) {
  KeptAssignment record = MakeRecord("a", 1);
  record.report.error = std::string(500, 'e');
  ASSERT_TRUE(store_.Put(record).ok());
  uint64_t largest = 0;
  for (int i = 0; i < 3000; ++i) {
    record.report.weight = static_cast<uint64_t>(i);
    ASSERT_TRUE(AssignmentStore(dir_, false).PutProgress(record).ok());
    largest = std::max(largest, *FileSize(store_.JournalPath("a")));
  }
  EXPECT_GT(largest, 1'000'000);
  EXPECT_LT(largest, 1'100'000);
  EXPECT_EQ(EncodeEntry(Load().at(0), true), EncodeEntry(record, true));
}

TEST_P(AssignmentStoreTest, IdsNeverLeaveTheFolder) {
  const std::string path = store_.JournalPath("../../etc/passwd");
  EXPECT_EQ(path.find(dir_ + "/"), 0);
  EXPECT_EQ(path.find(".."), std::string::npos);
}

TEST_P(AssignmentStoreTest, AFailedPutLeavesTheOldRecord) {
  ASSERT_TRUE(store_.Put(MakeRecord("a", 1)).ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  KeptAssignment changed = MakeRecord("a", 1);
  changed.stage = WorkStage::kReported;
  EXPECT_EQ(store_.Put(changed).code(), absl::StatusCode::kResourceExhausted);
  SetWriteFaultForTest(nullptr);
  const std::vector<KeptAssignment> records = Load();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].stage, WorkStage::kReady);
  ASSERT_TRUE(store_.PutProgress(changed).ok());
  EXPECT_EQ(Load().at(0).stage, WorkStage::kReported);
}

TEST_P(AssignmentStoreTest, FilesWithoutAJournalAreTidiedAwaySilently) {
  ASSERT_TRUE(store_.WriteModel("a", "half of it").ok());
  EXPECT_THAT(Load(), IsEmpty());
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_THAT(*ListDir(dir_), IsEmpty());
}

TEST_P(AssignmentStoreTest, AJournalUnderAnothersNameIsNotBelieved) {
  ASSERT_TRUE(store_.Put(MakeRecord("b", 1)).ok());
  ASSERT_TRUE(RenameFile(store_.JournalPath("b"), store_.JournalPath("a")).ok());
  EXPECT_THAT(Load(), IsEmpty());
  EXPECT_THAT(problems_, SizeIs(1));
}

TEST_P(AssignmentStoreTest, NoByteCanBeChangedAndBelieved) {
  KeptAssignment record = MakeRecord("a", 1);
  ASSERT_TRUE(store_.Put(record).ok());
  const std::string first = EncodeEntry(record, true);
  record.stage = WorkStage::kReported;
  ASSERT_TRUE(store_.PutProgress(record).ok());
  const std::string bytes = *ReadFile(store_.JournalPath("a"), 1 << 20);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 0x40;
    const absl::StatusOr<Journal> journal = DecodeJournal(changed);
    if (journal.ok()) {
      // A length that reaches beyond the end looks like an entry that was cut short.
      EXPECT_EQ(EncodeEntry(journal->record, true), first) << i;
    } else {
      EXPECT_EQ(journal.status().code(), absl::StatusCode::kDataLoss) << i;
    }
  }
}

TEST_P(AssignmentStoreTest, ALastEntryOfZerosCountsAsCutShort) {
  KeptAssignment record = MakeRecord("a", 1);
  ASSERT_TRUE(store_.Put(record).ok());
  const std::string first = EncodeEntry(record, true);
  const std::string bytes = *ReadFile(store_.JournalPath("a"), 1 << 20);
  for (const size_t zeros : {size_t{1}, size_t{8}, size_t{40}, size_t{500}}) {
    SCOPED_TRACE(zeros);
    WriteJournal(bytes + std::string(zeros, '\0'));
    ASSERT_THAT(Load(), SizeIs(1));
    EXPECT_EQ(EncodeEntry(Load().at(0), true), first);
    EXPECT_EQ(*FileSize(store_.JournalPath("a")), bytes.size());
  }
}

// Of versions that had a folder for each assignment.
class OldFolderTest : public AssignmentStoreTest {
 protected:
  static constexpr const char* kFiles[] = {".model", ".delta", ".update", ".residual"};

  void MakeOldFolder(const KeptAssignment& record) {
    const std::string base = Base(record.assignment.id);
    for (const std::string file : kFiles) {
      ASSERT_TRUE(WriteFileAtomic(base + file, "the" + file).ok());
    }
    MakeOld(store_, record);
  }
  std::string Base(const std::string& id) const {
    const std::string journal = store_.JournalPath(id);
    return journal.substr(0, journal.size() - std::string(".journal").size());
  }
  void ExpectTakenOver(const KeptAssignment& record) {
    const std::vector<KeptAssignment> records = Load();
    EXPECT_THAT(problems_, IsEmpty());
    ASSERT_THAT(records, SizeIs(1));
    EXPECT_EQ(EncodeEntry(records[0], true), EncodeEntry(record, true));
    for (const std::string file : kFiles) {
      EXPECT_EQ(*ReadFile(Base(record.assignment.id) + file, 100), "the" + file);
    }
    EXPECT_THAT(*ListDir(dir_), SizeIs(5));
  }
};

TEST_P(OldFolderTest, IsTakenOverWithAllItsFiles) {
  const KeptAssignment record = MakeRecord("a", 1);
  MakeOldFolder(record);
  ASSERT_THAT(*ListDir(dir_), SizeIs(1));
  ExpectTakenOver(record);
  ExpectTakenOver(record);  // as its own
}

TEST_P(OldFolderTest, IsTakenOverAlsoWhenAKillCutThatShort) {
  const KeptAssignment record = MakeRecord("a", 1);
  // The files move one by one, then comes the journal.
  for (size_t moved = 0; moved <= 5; ++moved) {
    SCOPED_TRACE(moved);
    ASSERT_TRUE(store_.Remove("a").ok());
    MakeOldFolder(record);
    const std::string base = Base("a");
    for (size_t i = 0; i < std::min<size_t>(moved, 4); ++i) {
      ASSERT_TRUE(RenameFile(base + "/" + std::string(kFiles[i]).substr(1), base + kFiles[i]).ok());
    }
    if (moved == 5) {
      ASSERT_TRUE(store_.Put(record).ok());
    }
    ExpectTakenOver(record);
  }
}

TEST_P(OldFolderTest, DoesNotComeAfterTheNewJournal) {
  KeptAssignment record = MakeRecord("a", 1);
  MakeOldFolder(record);
  record.stage = WorkStage::kReported;
  ASSERT_TRUE(store_.Put(record).ok());
  EXPECT_EQ(Load().at(0).stage, WorkStage::kReported);
  EXPECT_THAT(*ListDir(dir_), SizeIs(1));
}

TEST_P(OldFolderTest, ThatCannotBeReadIsNamedAndRemovedAndNothingElseIsHarmed) {
  MakeOldFolder(MakeRecord("a", 1));
  MakeOldFolder(MakeRecord("b", 2));
  MakeOldFolder(MakeRecord("c", 3));
  const std::string bytes = *ReadFile(Base("a") + "/journal", 1 << 20);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 0x40;
    ASSERT_TRUE(EnsureDir(Base("a")).ok());
    ASSERT_TRUE(
        WriteFileAtomic(Base("a") + "/journal", i % 2 == 0 ? changed : bytes.substr(0, i)).ok());
    EXPECT_THAT(Load(), SizeIs(2)) << i;
    ASSERT_THAT(problems_, SizeIs(1)) << i;
    EXPECT_THAT(problems_[0], HasSubstr("/journal cannot be used and was removed: DATA_LOSS"));
  }
  EXPECT_FALSE(FileExists(Base("a")));
}

TEST_P(OldFolderTest, WithoutAJournalIsTidiedAwaySilently) {
  ASSERT_TRUE(EnsureDir(Base("a")).ok());
  ASSERT_TRUE(WriteFileAtomic(Base("a") + "/model", "half of it").ok());
  EXPECT_THAT(Load(), IsEmpty());
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_THAT(*ListDir(dir_), IsEmpty());
}

TEST_P(OldFolderTest, StaysWholeWhileTheDiskIsFull) {
  const KeptAssignment record = MakeRecord("a", 1);
  MakeOldFolder(record);
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  EXPECT_THAT(Load(), IsEmpty());
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(problems_[0], HasSubstr("from an earlier version: RESOURCE_EXHAUSTED"));
  SetWriteFaultForTest(nullptr);
  ExpectTakenOver(record);
}

TEST_P(OldFolderTest, AFolderOfSomebodyElseIsNoReasonToFail) {
  ASSERT_TRUE(EnsureDir(dir_ + "/lost+found/inner").ok());
  ASSERT_TRUE(store_.Put(MakeRecord("a", 1)).ok());
  EXPECT_THAT(Load(), SizeIs(1));
  EXPECT_THAT(problems_, SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(, OldFolderTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Synced" : "Unsynced"; });

INSTANTIATE_TEST_SUITE_P(, AssignmentStoreTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Synced" : "Unsynced"; });

}  // namespace
}  // namespace fedwatt
