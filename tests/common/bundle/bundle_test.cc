#include "common/bundle/bundle.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/bundle/small_bundle.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(BundleTest, GivesBackWhatWasWritten) {
  const std::string path = WriteSmallBundle();
  const auto bundle = Bundle::Open(path);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const BundleHeader& header = (*bundle)->header();
  EXPECT_EQ(header.name, "small");
  EXPECT_EQ(header.description, "two tensors\nand a counter");
  EXPECT_EQ(header.task, ModelTask::kClassification);
  EXPECT_EQ(header.forward_method, "forward");
  EXPECT_EQ(header.loss_method, "loss");
  EXPECT_EQ(header.input_shape, (std::vector<int64_t>{1, 28, 28}));
  EXPECT_EQ(header.manifest, SmallHeader().manifest);
  ASSERT_EQ(header.artifacts.size(), 1u);
  EXPECT_EQ(header.artifacts[0].version, "1.13.1");
  EXPECT_EQ(AsText((*bundle)->ArtifactData(header.artifacts[0])), kSmallGraph);
  EXPECT_EQ(AsText((*bundle)->Tensors()), kSmallTensors);
  EXPECT_EQ((*bundle)->tensors_sha256(), Sha256Of(AsBytes(kSmallTensors)));
  EXPECT_TRUE((*bundle)->signer_key_ids().empty());
}

TEST(BundleTest, WritingIsDeterministicAndLeavesNoPartialFile) {
  const std::string path = WriteSmallBundle();
  const std::string first = *ReadFile(path, 1 << 20);
  WriteSmallBundle();
  EXPECT_EQ(*ReadFile(path, 1 << 20), first);
  EXPECT_FALSE(FileExists(path + ".partial"));
}

TEST(BundleTest, OtherTensorsKeepTheIdentityOfTheGraph) {
  const auto bundle = *Bundle::Open(WriteSmallBundle());
  const std::string trained = "zzzzzzzzzzzzzzzzzzzzzzzz";
  const std::string path = TestPath("trained");
  ASSERT_TRUE(BundleWriter::WriteWithTensors(path, *bundle, AsBytes(trained)).ok());
  const auto other = Bundle::Open(path);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(AsText((*other)->Tensors()), trained);
  EXPECT_EQ((*other)->header_sha256(), bundle->header_sha256());
}

TEST(BundleTest, TensorsCanBeLeftOutAndPutBack) {
  const auto bundle = *Bundle::Open(WriteSmallBundle());
  const std::string bare_path = TestPath("bare");
  ASSERT_TRUE(BundleWriter::WriteWithTensors(bare_path, *bundle, {}).ok());
  const auto bare = Bundle::Open(bare_path);
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_TRUE((*bare)->Tensors().empty());
  ASSERT_TRUE(BundleWriter::WriteWithTensors(bare_path, **bare, bundle->Tensors()).ok());
  EXPECT_EQ(AsText((*Bundle::Open(bare_path))->Tensors()), kSmallTensors);
}

TEST(BundleTest, RefusesTensorsOfAnotherSize) {
  const auto bundle = *Bundle::Open(WriteSmallBundle());
  const std::string shorter = "too short";
  const absl::Status status =
      BundleWriter::WriteWithTensors(TestPath("short"), *bundle, AsBytes(shorter));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("9 bytes, the manifest of \"small\" asks"));
  EXPECT_FALSE(FileExists(TestPath("short")));
}

TEST(BundleTest, RefusesToWriteWhatItCouldNotRead) {
  const std::string path = TestPath("bad");
  const auto write = [&](const BundleHeader& header, const std::string& graph) {
    const absl::Status status =
        BundleWriter::Write(path, header, {AsBytes(graph)}, AsBytes(kSmallTensors), nullptr);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(write(SmallHeader(), ""), HasSubstr("artifact is empty"));
  BundleHeader header = SmallHeader();
  header.name = "";
  EXPECT_THAT(write(header, "g"), HasSubstr("bundle name"));
  header = SmallHeader();
  header.artifacts.clear();
  EXPECT_THAT(write(header, "g"), HasSubstr("1 blobs for 0 artifacts"));
  header = SmallHeader();
  header.loss_method = "loss()";
  EXPECT_THAT(write(header, "g"), HasSubstr("loss_method"));
  EXPECT_FALSE(FileExists(path));
}

TEST(BundleTest, AFullDiskLeavesTheOldFile) {
  const std::string path = WriteSmallBundle();
  const auto bundle = *Bundle::Open(path);
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  const absl::Status status = BundleWriter::WriteWithTensors(path, *bundle, {});
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(FileExists(path + ".partial"));
  EXPECT_EQ(AsText((*Bundle::Open(path))->Tensors()), kSmallTensors);
}

TEST(BundleTest, AMissingFileIsNotFound) {
  const auto bundle = Bundle::Open(TestPath("none"));
  EXPECT_EQ(bundle.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(bundle.status().message()), HasSubstr(TestPath("none")));
}

}  // namespace
}  // namespace fedwatt
