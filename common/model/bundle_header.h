#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/crypto/sha256.h"
#include "common/model/manifest.h"

// What a bundle says about itself (docs/bundle-format.md; reading and writing: common/bundle).
namespace fedwatt {

// What examples and losses look like: classification: forward -> [n, classes], y int64 [n];
// sequence: forward -> [n, classes, t], y int64 [n, t]; regression: forward -> like y.
// (Not `Task`: that is what executors run.)
enum class ModelTask { kClassification = 1, kSequence, kRegression };
const char* TaskName(ModelTask task);  // "classification", ...

struct Artifact {
  std::string format;   // "torchscript"
  std::string version;  // of the producer
  Digest sha256{};
  uint64_t size = 0;
  uint64_t offset = 0;  // from the first byte after the signed header
};

struct BundleHeader {
  std::string name;
  std::string description;
  ModelTask task = ModelTask::kClassification;
  std::vector<Artifact> artifacts;
  Manifest manifest;
  std::string forward_method = "forward";
  std::string loss_method = "loss";
  std::vector<int64_t> input_shape;  // of one example
  DType input_dtype = DType::kF32;
};

// The signed part as bytes (a signature is over bytes, not over a message), who signed it, and the
// tensors' entry, which is outside of the signed part.
struct SignedBundleHeader {
  struct Entry {
    std::string key_id;     // PublicKey::KeyId()
    std::string signature;  // Ed25519 over BundleSignedText(header)
  };
  std::string header;
  std::vector<Entry> signatures;
  Artifact tensors;  // size 0: the file carries none
};

// "fedwatt-bundle-v1" and a zero byte: a signature made for something else never fits a bundle.
std::string BundleSignedText(const std::string& header);

}  // namespace fedwatt
