#pragma once

// Which blobs of the cache are flat models, newest first: what a check-in tells the coordinator,
// so that it can send a step instead of a model. The list is a hint in a small file: if it is lost,
// the next model comes whole.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/blob_cache.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

// One thread at a time.
class HeldModels {
 public:
  static constexpr size_t kMax = 8;  // at most bounds::kMaxHeldModels

  // `path`: the list's file. What is not there or damaged is an empty list.
  static HeldModels Load(const std::string& path);

  // The model is in the cache and was verified. Written down at once if that is news.
  absl::Status Add(const Digest& model);

  // Those that `cache` still has, newest first.
  std::vector<Digest> In(const BlobCache& cache) const;

 private:
  explicit HeldModels(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::vector<Digest> models_;
};

}  // namespace fedwatt
