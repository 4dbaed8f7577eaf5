#include "server/driver/matching.h"

#include "gtest/gtest.h"

namespace fedwatt {
namespace {

TEST(Matching, BucketsOfExampleCounts) {
  EXPECT_EQ(ExampleCountBucket(0), 0u);
  EXPECT_EQ(ExampleCountBucket(1), 1u);
  EXPECT_EQ(ExampleCountBucket(2), 2u);
  EXPECT_EQ(ExampleCountBucket(600), 10u);
  EXPECT_EQ(ExampleCountBucket(UINT64_MAX), 64u);
}

TEST(Matching, VersionsCompareByNumber) {
  EXPECT_TRUE(CompareVersions("1.10", "1.9") > 0);
  EXPECT_TRUE(CompareVersions("1.2.3", "1.2.3") == 0);
  EXPECT_TRUE(CompareVersions("1.2", "1.2.0") == 0);
  EXPECT_TRUE(CompareVersions("1.2", "1.2.1") < 0);
  EXPECT_TRUE(CompareVersions("", "0.1") < 0);
  EXPECT_TRUE(CompareVersions("2.x", "2") == 0);
  EXPECT_TRUE(CompareVersions("1.0.0", "") > 0);
}

class Matches : public ::testing::Test {
 protected:
  Matches() {
    spec_.dataset.name = "digits";
    offer_.tenant = "default";
    offer_.request.capabilities.trainers = {"torch", "echo"};
    offer_.request.capabilities.artifact_formats = {"torchscript"};
    offer_.request.capabilities.codecs = {"raw_f32"};
    offer_.request.datasets = {{"letters", 1, 9}, {"digits", 2, 10}};
  }
  std::string WhyNotTraining() { return WhyNot(TrainingNeed(spec_, bundle_), offer_); }

  JobSpec spec_;
  BundleHeader bundle_;
  Offer offer_;
};

TEST_F(Matches, WhatFits) {
  EXPECT_EQ(WhyNotTraining(), "");
  const Need need = TrainingNeed(spec_, bundle_);
  EXPECT_EQ(MatchingDataset(need, offer_)->schema_version, 2u);
  EXPECT_EQ(ChosenTrainer(need, offer_), "torch");
  spec_.eligibility.trainer = "echo";
  EXPECT_EQ(ChosenTrainer(TrainingNeed(spec_, bundle_), offer_), "echo");
}

TEST_F(Matches, ArtifactFormats) {
  bundle_.artifacts.push_back({.format = "onnx"});
  EXPECT_EQ(WhyNotTraining(), "needs a trainer for onnx");
  bundle_.artifacts.push_back({.format = "torchscript"});
  EXPECT_EQ(WhyNotTraining(), "");
  bundle_.artifacts.pop_back();
  offer_.request.capabilities.artifact_formats.clear();
  EXPECT_EQ(WhyNotTraining(), "") << "a trainer that reads no artifact takes every bundle";
}

TEST_F(Matches, SchemaVersions) {
  spec_.dataset.schema_version = 1;
  EXPECT_EQ(WhyNotTraining(), "needs dataset 'digits' in schema version 1, not 2");
  spec_.dataset.schema_version = 2;
  EXPECT_EQ(WhyNotTraining(), "");
}

TEST_F(Matches, MinExamplesThroughTheBucket) {
  spec_.dataset.min_examples = 1023;
  EXPECT_EQ(WhyNotTraining(), "");
  spec_.dataset.min_examples = 1024;
  EXPECT_EQ(WhyNotTraining(), "needs 1024 examples of dataset 'digits'");
}

TEST_F(Matches, AnEvaluatorNeedsItsOwnRoleAndDataset) {
  spec_.evaluation.dataset = "letters";
  EXPECT_EQ(WhyNot(EvaluationNeed(spec_, bundle_), offer_), "needs role evaluator");
  offer_.request.role = Role::kEvaluator;
  EXPECT_EQ(WhyNot(EvaluationNeed(spec_, bundle_), offer_), "");
  EXPECT_EQ(WhyNotTraining(), "needs role client");
}

}  // namespace
}  // namespace fedwatt
