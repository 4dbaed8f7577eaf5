#include "server/cli/model_update.h"

#include <bit>

#include "common/base/file.h"
#include "common/bundle/bundle.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Takes 1x2, so that Fashion-MNIST does not fit it.
std::string WriteBundle() {
  BundleHeader header;
  header.name = "tiny";
  header.artifacts = {{"torchscript", "1.13.1", {}, 0, 0}};
  header.manifest = *Manifest::Create({{"seen", DType::kI64, {}, TensorRole::kBuffer},
                                       {"w", DType::kF32, {2, 2}, TensorRole::kTrainable},
                                       {"b", DType::kF32, {1}, TensorRole::kTrainable}});
  header.input_shape = {1, 2};
  const std::string path = testing::TempDir() + "tiny.fwb";
  const std::string graph = "a graph", tensors(28, 0);
  EXPECT_TRUE(BundleWriter::Write(path, header, {AsBytes(graph)}, AsBytes(tensors), nullptr).ok());
  return path;
}

std::string WriteFloats(std::vector<float> values) {
  const std::string path = testing::TempDir() + "update.f32";
  const std::string bytes(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  EXPECT_TRUE(WriteFileAtomic(path, bytes).ok());
  return path;
}

TEST(ModelUpdateTest, ComesFromTheFileWithTheBundlesMatrices) {
  const auto update =
      GetModelUpdate({.bundle = WriteBundle(), .file = WriteFloats({1, 2, 3, 4, 5})});
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_THAT(update->values, ElementsAre(1, 2, 3, 4, 5));
  ASSERT_EQ(update->matrices.size(), 1u);
  EXPECT_EQ(update->matrices[0].offset, 0u);
  EXPECT_EQ(update->matrices[0].rows, 2u);
  EXPECT_EQ(update->matrices[0].columns, 2u);
}

TEST(ModelUpdateTest, AFileWithoutABundleHasNoMatrices) {
  const auto update = GetModelUpdate({.file = WriteFloats({1, 2})});
  ASSERT_TRUE(update.ok()) << update.status();
  EXPECT_THAT(update->values, ElementsAre(1, 2));
  EXPECT_THAT(update->matrices, IsEmpty());
}

TEST(ModelUpdateTest, AFileThatIsNoUpdateOfTheModelIsRefused) {
  const auto refusal = [](const std::string& file) {
    const auto update = GetModelUpdate({.bundle = WriteBundle(), .file = file});
    EXPECT_EQ(update.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(update.status().message());
  };
  EXPECT_THAT(refusal(WriteFloats({1, 2, 3})), HasSubstr("3 values, but the bundle has 5"));
  EXPECT_THAT(refusal(WriteFloats({})), HasSubstr("0 bytes"));
  EXPECT_THAT(refusal(WriteFloats({1, 2, 3, std::bit_cast<float>(0x7fc00000u), 5})),
              HasSubstr("value 3 is not finite"));
  EXPECT_EQ(GetModelUpdate({.file = testing::TempDir() + "none"}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ModelUpdateTest, WithoutDataThereIsNoneAndTheNoteSaysWhatToPass) {
  for (const std::string& bundle : {std::string(), WriteBundle()}) {
    const auto update = GetModelUpdate({.bundle = bundle});
    ASSERT_TRUE(update.ok()) << update.status();
    EXPECT_THAT(update->values, IsEmpty());
    EXPECT_THAT(update->note, HasSubstr("--update FILE"));
  }
}

TEST(ModelUpdateTest, WhatWasAskedForByNameFails) {
  const auto no_tool =
      GetModelUpdate({.bundle = WriteBundle(), .dataset = "x=idx:/none", .torch_tool = "/none"});
  EXPECT_FALSE(no_tool.ok());
  const auto no_bundle = GetModelUpdate({.dataset = "x=idx:/none"});
  EXPECT_EQ(no_bundle.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(no_bundle.status().message()), HasSubstr("--bundle"));
}

}  // namespace
}  // namespace fedwatt::cli
