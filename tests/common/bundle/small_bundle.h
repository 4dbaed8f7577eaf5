#pragma once

// A small model for the tests of common/bundle.

#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/bundle/bundle.h"
#include "gtest/gtest.h"

namespace fedwatt {

inline const std::string kSmallGraph = "pretend this is TorchScript";
inline const std::string kSmallTensors = "0123456789abcdefXYZWVUTS";  // 4 + 1 float32, 1 int32

inline BundleHeader SmallHeader() {
  BundleHeader header;
  header.name = "small";
  header.description = "two tensors\nand a counter";
  header.artifacts = {{"torchscript", "1.13.1", {}, 0, 0}};
  header.manifest = *Manifest::Create({{"w", DType::kF32, {2, 2}, TensorRole::kTrainable},
                                       {"b", DType::kF32, {1}, TensorRole::kTrainable},
                                       {"steps", DType::kI32, {}, TensorRole::kBuffer}});
  header.input_shape = {1, 28, 28};
  return header;
}

inline std::string TestPath(const std::string& name) {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return testing::TempDir() + "/" + info->test_suite_name() + "." + info->name() + "." + name;
}

// Writes the small bundle and returns its path.
inline std::string WriteSmallBundle(const SigningKey* signer = nullptr) {
  const std::string path = TestPath("bundle");
  const absl::Status status = BundleWriter::Write(path, SmallHeader(), {AsBytes(kSmallGraph)},
                                                  AsBytes(kSmallTensors), signer);
  EXPECT_TRUE(status.ok()) << status;
  return path;
}

inline SigningKey TestKey(uint8_t seed) {
  return *SigningKey::FromSeed(std::vector<uint8_t>(32, seed));
}

}  // namespace fedwatt
