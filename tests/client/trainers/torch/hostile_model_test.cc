// What a stranger's model may try. Bundles reach the trainer only when a trusted key signed them;
// these tests are about the second line: what happens when the signer was careless or lied.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "client/trainers/torch/archive_scan.h"
#include "tests/client/trainers/torch/torch_test_support.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A bundle around an archive that no import would have let through.
ModelParts Forge(const std::string& archive) {
  ModelParts parts;
  parts.header.name = "forged";
  parts.header.task = ModelTask::kRegression;
  parts.header.input_shape = {1};
  parts.header.artifacts = {Artifact{.format = "torchscript", .version = "1"}};
  parts.header.manifest = *Manifest::Create({{.name = "w", .shape = {1}}});
  parts.torchscript.assign(archive.begin(), archive.end());
  parts.tensors.resize(sizeof(float));
  return parts;
}

std::string FixtureBytes(const std::string& name) {
  const auto bytes = ReadFile(FixturePath(name + ".pt"), 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status() << "; is python3-torch installed?";
  return bytes.value_or("");
}

class HostileModelTest : public TorchTest {
 protected:
  HostileModelTest() { data_ = Pairs({{1, 1}, {2, 2}}); }

  absl::Status RunFixture(const std::string& name) {
    UseModel(Forge(FixtureBytes(name)));
    return Run().status();
  }
};

TEST_F(HostileModelTest, TheForgedBundleTrainsWhenItsModelIsHarmless) {
  EXPECT_TRUE(RunFixture("line").ok()) << RunFixture("line");
}

TEST_F(HostileModelTest, ReadingALocalFileIsRefused) {
  const absl::Status status = RunFixture("from_file");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("aten::from_file"), HasSubstr("FromFile.forward"),
                    HasSubstr("reads a local file"), HasSubstr("--allow-op aten::from_file")));
}

TEST_F(HostileModelTest, AnOperatorThatHidesInNestedCodeIsFound) {
  const absl::Status status = RunFixture("nested");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("aten::manual_seed"), HasSubstr("helper")));
}

TEST_F(HostileModelTest, PrintingAndThreadsAreRefused) {
  EXPECT_THAT(std::string(RunFixture("prints").message()), HasSubstr("prim::Print"));
  EXPECT_THAT(std::string(RunFixture("forks").message()), HasSubstr("depend on timing"));
}

TEST_F(HostileModelTest, CodeThatRunsWhileLoadingIsRefusedBeforeLoading) {
  const absl::Status status = RunFixture("setstate");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("__setstate__"));
}

TEST_F(HostileModelTest, CustomClassesAreRefusedBeforeLoading) {
  const absl::Status status = RunFixture("quantized");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("torch.classes"));
}

// Limits data memory while it lives, so that the test does not depend on the host's overcommit.
class DataLimit {
 public:
  explicit DataLimit(uint64_t bytes) {
    getrlimit(RLIMIT_DATA, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_DATA, &limit);
  }
  ~DataLimit() { setrlimit(RLIMIT_DATA, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HostileModelTest, ATerabyteIsRefusedWithSizeAndLimit) {
  const DataLimit limit(8'000'000'000);
  const absl::Status status = RunFixture("allocates");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("1099511627776 bytes"), HasSubstr("memory limit is 8.0 GB")));
  EXPECT_TRUE(RunFixture("line").ok()) << "the trainer can be used again";
}

TEST_F(HostileModelTest, EveryTruncationIsRefused) {
  const std::string whole = FixtureBytes("line");
  for (size_t size = 0; size < whole.size(); size += 97) {
    const absl::Status status = ScanArchive(AsBytes(whole.substr(0, size)));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << size << " bytes: " << status;
  }
}

TEST_F(HostileModelTest, ATruncatedArchiveStopsTheRun) {
  const std::string whole = FixtureBytes("line");
  UseModel(Forge(whole.substr(0, whole.size() / 2)));
  const absl::Status status = Run().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("truncated or corrupt"));
}

TEST_F(HostileModelTest, ABundleThatWasReplacedAfterItsCheckIsNotRun) {
  UseModel(Forge(FixtureBytes("line")));
  const auto checked = Bundle::Open(request_.bundle_path);
  ASSERT_TRUE(checked.ok());
  request_.bundle_header_sha256 = (*checked)->header_sha256();
  EXPECT_TRUE(Run().ok());
  UseModel(Forge(FixtureBytes("prints")));
  const absl::Status status = Run().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("was replaced since and is not run"));
}

TEST_F(HostileModelTest, NoFlippedByteCrashesTheTrainer) {
  const std::string whole = FixtureBytes("line");
  Rng rng(RngKey{.purpose = "flips"});
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string broken = whole;
    broken[rng.UniformInt(broken.size())] ^= static_cast<char>(1 + rng.UniformInt(255));
    UseModel(Forge(broken));
    const auto result = Run();
    if (!result.ok()) ++refused;
  }
  EXPECT_GT(refused, 20);
}

TEST_F(HostileModelTest, WhatIsNoTorchScriptIsRefusedWithAHint) {
  const absl::Status status = RunFixture("state_dict");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("torch.jit.script"));
  EXPECT_EQ(ScanArchive(AsBytes("RIFF")).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(HostileModelTest, AModelThatReassignsAParameterIsRefused) {
  const absl::Status status = RunFixture("reassigns");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("parameter w"));
}

TEST_F(HostileModelTest, ALossOfTheWrongShapeIsRefused) {
  EXPECT_THAT(std::string(RunFixture("wrong_loss").message()),
              HasSubstr("shape [1, 2, 1] for 2 examples"));
}

TEST_F(HostileModelTest, AnOperatorCanBeAllowedByTheDevicesOwner) {
  UseModel(Forge(FixtureBytes("unlisted")));
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kPermissionDenied);
  const std::unique_ptr<Trainer> trusting = NewTrainer({"aten::special_i0e"});
  const auto result = Run(*trusting);
  // It has no derivative in every LibTorch version; what counts is that it was not refused.
  EXPECT_NE(result.status().code(), absl::StatusCode::kPermissionDenied) << result.status();
}

}  // namespace
}  // namespace fedwatt
