#include "client/sdk/plan_quarantine.h"

#include "absl/strings/str_cat.h"
#include "client/sdk/small_file.h"
#include "common/base/file.h"
#include "gtest/gtest.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

class PlanQuarantineTest : public ::testing::Test {
 protected:
  PlanQuarantine Load(int64_t now_ms = kNowMs) const { return PlanQuarantine::Load(path_, now_ms); }
  void Save(const PlanQuarantine& quarantine) const {
    ASSERT_TRUE(WriteFileAtomic(path_, quarantine.Content()).ok());
  }

  TempDir dir_;
  const std::string path_ = dir_.File("deaths");
};

Assignment MakeAssignment() {
  Assignment assignment;
  assignment.id = "job/r1/a1/0";
  assignment.key = {"job", 1, 1, false};
  assignment.dataset.name = "digits";
  return assignment;
}

TEST_F(PlanQuarantineTest, CountsPerPlanAcrossRestarts) {
  PlanQuarantine first = Load();
  EXPECT_EQ(first.Deaths("a").deaths, 0u);
  EXPECT_EQ(first.AddDeath("a", false, kNowMs).deaths, 1u);
  Save(first);
  PlanQuarantine second = Load();
  EXPECT_EQ(second.AddDeath("a", false, kNowMs).deaths, 2u);
  EXPECT_EQ(second.Deaths("b").deaths, 0u);
  EXPECT_TRUE(second.Forgive("a"));
  EXPECT_FALSE(second.Forgive("a"));
  EXPECT_EQ(second.Deaths("a").deaths, 0u);
}

TEST_F(PlanQuarantineTest, ForgetsAfterAWeekAndKeepsWhatLiesInTheFuture) {
  PlanQuarantine quarantine = Load();
  quarantine.AddDeath("a", false, kNowMs);
  Save(quarantine);
  EXPECT_EQ(Load(kNowMs + PlanQuarantine::kForgetMs - 1).Deaths("a").deaths, 1u);
  EXPECT_EQ(Load(kNowMs + PlanQuarantine::kForgetMs).Deaths("a").deaths, 0u);
  EXPECT_EQ(Load(0).Deaths("a").deaths, 1u) << "a clock that was set back sets nothing free";
}

TEST_F(PlanQuarantineTest, ADamagedFileIsAnEmptyOne) {
  PlanQuarantine quarantine = Load();
  quarantine.AddDeath("a", false, kNowMs);
  std::string content = quarantine.Content();
  content.back() = '7';
  ASSERT_TRUE(WriteFileAtomic(path_, content).ok());
  EXPECT_EQ(Load().Deaths("a").deaths, 0u);
}

TEST_F(PlanQuarantineTest, HasABound) {
  PlanQuarantine quarantine = Load();
  for (size_t i = 0; i <= PlanQuarantine::kMaxPlans; ++i) {
    quarantine.AddDeath(absl::StrCat(i), false, kNowMs + static_cast<int64_t>(i));
  }
  EXPECT_EQ(quarantine.Deaths("0").deaths, 0u) << "the oldest goes";
  EXPECT_EQ(quarantine.Deaths("1").deaths, 1u);
  EXPECT_EQ(quarantine.Deaths(absl::StrCat(PlanQuarantine::kMaxPlans)).deaths, 1u);
}

TEST_F(PlanQuarantineTest, ARebootIsHalfADeath) {
  PlanQuarantine quarantine = Load();
  EXPECT_FALSE(quarantine.AddDeath("a", false, kNowMs).enough());
  EXPECT_FALSE(quarantine.AddDeath("a", true, kNowMs).enough());
  Save(quarantine);
  PlanQuarantine later = Load();
  EXPECT_EQ(later.Deaths("a").ToString(), "1 death of the process and 1 reboot");
  EXPECT_TRUE(later.AddDeath("a", true, kNowMs).enough());
  for (int i = 1; i <= 4; ++i) {
    EXPECT_EQ(later.AddDeath("b", true, kNowMs).enough(), i == 4) << "a plan that downs the device";
  }
}

TEST_F(PlanQuarantineTest, ReadsWhatEarlierBuildsWrote) {
  ASSERT_TRUE(
      WriteFileAtomic(path_, SmallFileContent(absl::StrCat("a 1 ", kNowMs, "\nb 2 ", kNowMs, "\n")))
          .ok());
  EXPECT_EQ(Load().Deaths("a").deaths, 1u);
  EXPECT_TRUE(Load().Deaths("b").enough());
}

TEST(PlanKey, IsTheSameOverRoundsAndDiffersByWhatRuns) {
  const PlanQuarantine::Device device{"torch", "0.1.0", "1"};
  const Assignment assignment = MakeAssignment();
  const std::string key = PlanQuarantine::KeyOf(assignment, device);
  Assignment later = assignment;
  later.id = "job/r2/a1/0";
  later.key.round = 2;
  later.plan.seed = 9;
  later.model.sha256.fill(3);
  EXPECT_EQ(PlanQuarantine::KeyOf(later, device), key);

  Assignment other = assignment;
  other.key.job = "other";
  EXPECT_NE(PlanQuarantine::KeyOf(other, device), key);
  other = assignment;
  other.bundle.sha256.fill(3);
  EXPECT_NE(PlanQuarantine::KeyOf(other, device), key);
  other = assignment;
  other.kind = AssignmentKind::kEvaluate;
  EXPECT_NE(PlanQuarantine::KeyOf(other, device), key);
  EXPECT_NE(PlanQuarantine::KeyOf(assignment, {"torch", "0.1.1", "1"}), key);
  EXPECT_NE(PlanQuarantine::KeyOf(assignment, {"torch", "0.1.0", "2"}), key);
}

}  // namespace
}  // namespace fedwatt
