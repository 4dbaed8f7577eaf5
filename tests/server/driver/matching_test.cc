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
  Need Training() const { return TrainingNeed(spec_, bundle_, codecs_); }
  std::string WhyNotTraining() const { return WhyNot(Training(), offer_); }

  JobSpec spec_;
  BundleHeader bundle_;
  std::vector<CodecNeed> codecs_ = {{"raw_f32", false}};
  Offer offer_;
};

TEST_F(Matches, WhatFits) {
  EXPECT_EQ(WhyNotTraining(), "");
  const Need need = Training();
  EXPECT_EQ(MatchingDataset(need, offer_)->schema_version, 2u);
  EXPECT_EQ(ChosenTrainer(need, offer_), "torch");
  spec_.eligibility.trainer = "echo";
  EXPECT_EQ(ChosenTrainer(Training(), offer_), "echo");
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

TEST_F(Matches, Codecs) {
  codecs_ = {{"eden", false}};
  EXPECT_EQ(WhyNotTraining(), "needs codec 'eden'");
  codecs_ = {{"eden", false}, {"bf16", false}};
  EXPECT_EQ(WhyNotTraining(), "needs codec 'eden' or 'bf16'");
  offer_.request.capabilities.codecs = {"topk", "bf16"};
  EXPECT_EQ(WhyNotTraining(), "");
  codecs_ = {{"topk", true}};
  EXPECT_EQ(WhyNotTraining(), "needs a client that keeps state, for codec 'topk'");
  offer_.request.capabilities.keeps_state = true;
  EXPECT_EQ(WhyNotTraining(), "");
  offer_.request.capabilities.codecs.clear();
  EXPECT_EQ(WhyNot(EvaluationNeed(spec_, bundle_), offer_), "needs role evaluator")
      << "an evaluation has no update to code";
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
