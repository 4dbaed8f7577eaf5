#include "client/sdk/assignment_store.h"

#include <cerrno>
#include <filesystem>

#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

AssignmentRecord MakeRecord(const std::string& id, int64_t received_ms) {
  AssignmentRecord record;
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
  std::vector<AssignmentRecord> Load() {
    problems_.clear();
    auto records = store_.LoadAll(&problems_);
    EXPECT_TRUE(records.ok()) << records.status();
    return records.ok() ? *records : std::vector<AssignmentRecord>();
  }

  const std::string dir_ = ::testing::TempDir() + "assignment_store_test";
  const AssignmentStore store_{dir_, GetParam()};
  std::vector<std::string> problems_;
};

TEST_P(AssignmentStoreTest, GivesBackExactlyWhatWasPut) {
  const AssignmentRecord record = MakeRecord("job/r3/a2/0", 5);
  ASSERT_TRUE(store_.Put(record).ok());
  const std::vector<AssignmentRecord> records = Load();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(EncodeRecord(records[0]), EncodeRecord(record));
  EXPECT_EQ(records[0].assignment.plan.proximal_mu, 0.125);
  EXPECT_EQ(records[0].report.metrics.named.at("auc"), 0.1 + 0.2);
  EXPECT_TRUE(records[0].model_inline);
  EXPECT_FALSE(records[0].bundle_inline);
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_P(AssignmentStoreTest, ReplacesAndRemovesAndOrdersByReceipt) {
  ASSERT_TRUE(store_.Put(MakeRecord("b", 1)).ok());
  ASSERT_TRUE(store_.Put(MakeRecord("a", 2)).ok());
  AssignmentRecord changed = MakeRecord("b", 1);
  changed.stage = WorkStage::kReported;
  ASSERT_TRUE(store_.Put(changed).ok());
  std::vector<AssignmentRecord> records = Load();
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].assignment.id, "b");
  EXPECT_EQ(records[0].stage, WorkStage::kReported);
  ASSERT_TRUE(store_.WriteFile("b", "update", "bytes").ok());
  ASSERT_TRUE(store_.Remove("b").ok());
  ASSERT_TRUE(store_.Remove("b").ok());  // again
  EXPECT_THAT(Load(), SizeIs(1));
  EXPECT_FALSE(FileExists(store_.Path("b", "update")));
}

TEST_P(AssignmentStoreTest, IdsNeverLeaveTheFolder) {
  const std::string path = store_.Path("../../etc/passwd", "journal");
  EXPECT_EQ(path.find(dir_ + "/"), 0);
  EXPECT_EQ(path.find(".."), std::string::npos);
}

TEST_P(AssignmentStoreTest, AFailedPutLeavesTheOldRecord) {
  ASSERT_TRUE(store_.Put(MakeRecord("a", 1)).ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  AssignmentRecord changed = MakeRecord("a", 1);
  changed.stage = WorkStage::kReported;
  EXPECT_EQ(store_.Put(changed).code(), absl::StatusCode::kResourceExhausted);
  SetWriteFaultForTest(nullptr);
  const std::vector<AssignmentRecord> records = Load();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].stage, WorkStage::kReady);
}

TEST_P(AssignmentStoreTest, AFolderWithoutAJournalIsTidiedAwaySilently) {
  ASSERT_TRUE(store_.WriteFile("a", "model", "half of it").ok());
  EXPECT_THAT(Load(), IsEmpty());
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_THAT(*ListDir(dir_), IsEmpty());
}

TEST_P(AssignmentStoreTest, AJournalInAnothersFolderIsNotBelieved) {
  ASSERT_TRUE(store_.WriteFile("a", "journal", EncodeRecord(MakeRecord("b", 1))).ok());
  EXPECT_THAT(Load(), IsEmpty());
  EXPECT_THAT(problems_, SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(, AssignmentStoreTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Synced" : "Unsynced"; });

TEST(DecodeRecordTest, NoByteCanBeChangedOrMissing) {
  const std::string bytes = EncodeRecord(MakeRecord("a", 1));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 0x40;
    EXPECT_EQ(DecodeRecord(changed).status().code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_EQ(DecodeRecord(bytes.substr(0, i)).status().code(), absl::StatusCode::kDataLoss) << i;
  }
}

}  // namespace
}  // namespace fedwatt
