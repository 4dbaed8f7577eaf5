#include "client/sdk/assignment_check.h"

#include "common/base/bounds.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(ExampleCountBucketTest, IsTheNumberOfBits) {
  EXPECT_EQ(ExampleCountBucket(0), 0);
  EXPECT_EQ(ExampleCountBucket(1), 1);
  EXPECT_EQ(ExampleCountBucket(2), 2);
  EXPECT_EQ(ExampleCountBucket(600), 10);
  EXPECT_EQ(ExampleCountBucket(1024), 11);
}

TEST(CompareVersionsTest, ComparesNumbersNotText) {
  EXPECT_GT(*CompareSdkVersions("0.10.1", "0.9"), 0);
  EXPECT_LT(*CompareSdkVersions("1.2", "1.2.1"), 0);
  EXPECT_EQ(*CompareSdkVersions("1.2", "1.2.0"), 0);
  EXPECT_EQ(*CompareSdkVersions("1.2.3-rc1", "1.2.3"), 0);
}

TEST(CompareVersionsTest, RefusesWhatIsNoVersion) {
  for (const char* text : {"", "latest", "-1", ".", "99999999999999"}) {
    EXPECT_EQ(CompareSdkVersions("1.0", text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

class CheckAssignmentTest : public ::testing::Test {
 protected:
  CheckAssignmentTest() {
    good_.id = "job/r1/a1/0";
    good_.model.size = 4;
    good_.bundle.size = 100;
    good_.dataset = {"digits", 2, 0};
    good_.trainer = "torch";
  }
  absl::Status Check(const Assignment& assignment, Role role = Role::kClient) {
    return CheckAssignment(assignment, {"1.4.0", role, "torch", &datasets_});
  }

  const std::vector<OfferedDataset> datasets_ = {{{"digits", "idx", "/d", {}}, {"digits", 2, 5}}};
  Assignment good_;
};

TEST_F(CheckAssignmentTest, TakesWhatFits) {
  EXPECT_TRUE(Check(good_).ok()) << Check(good_);
  good_.plan.min_sdk = "1.4";
  good_.dataset.schema_version = 0;  // any
  EXPECT_TRUE(Check(good_).ok()) << Check(good_);
}

TEST_F(CheckAssignmentTest, RefusesEachThingThatDoesNotFit) {
  const auto refused = [&](const std::function<void(Assignment*)>& change, const char* why) {
    Assignment bad = good_;
    change(&bad);
    EXPECT_THAT(std::string(Check(bad).message()), HasSubstr(why));
  };
  refused([](Assignment* a) { a->id = ""; }, "assignment.id");
  refused([](Assignment* a) { a->id = "with blank"; }, "assignment.id");
  refused([](Assignment* a) { a->model.size = 0; }, "assignment.model.size = 0");
  refused([](Assignment* a) { a->bundle.size = bounds::kMaxBlobBytes + 1; },
          "assignment.bundle.size");
  refused([](Assignment* a) { a->plan.min_sdk = "1.5"; }, "needs client SDK 1.5");
  refused([](Assignment* a) { a->plan.min_sdk = "soon"; }, "\"soon\" is not a version");
  refused([](Assignment* a) { a->plan.optimizer.lr = -1; }, "lr");
  refused([](Assignment* a) { a->trainer = "echo"; }, "needs the trainer echo");
  refused([](Assignment* a) { a->dataset.name = "faces"; }, "no dataset faces");
  refused([](Assignment* a) { a->dataset.schema_version = 3; }, "schema version 3");
}

TEST_F(CheckAssignmentTest, AnEvaluatorOnlyEvaluates) {
  EXPECT_FALSE(Check(good_, Role::kEvaluator).ok());
  good_.kind = AssignmentKind::kEvaluate;
  EXPECT_TRUE(Check(good_, Role::kEvaluator).ok());
}

TEST(TimeLeftTest, EndsWithTheDeadlineOrThePlan) {
  Assignment assignment;
  assignment.time_left_ms = 1000;
  EXPECT_EQ(TimeLeftMs(assignment, 0), 1000);
  EXPECT_EQ(TimeLeftMs(assignment, 1500), -500);
  EXPECT_EQ(TimeLeftMs(assignment, -7), 1000);  // the clock went back
  assignment.plan.expires_after_ms = 300;
  EXPECT_EQ(TimeLeftMs(assignment, 100), 200);
}

}  // namespace
}  // namespace fedwatt
