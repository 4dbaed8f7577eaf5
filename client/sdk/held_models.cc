#include "client/sdk/held_models.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/sdk/small_file.h"
#include "common/base/bounds.h"

namespace fedwatt {

HeldModels HeldModels::Load(const std::string& path) {
  static_assert(kMax <= bounds::kMaxHeldModels);
  HeldModels held(path);
  const absl::StatusOr<std::string> text = ReadSmallFile(path);
  if (!text.ok()) return held;
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const absl::StatusOr<Digest> model = ParseDigest(line);
    if (model.ok() && held.models_.size() < kMax) held.models_.push_back(*model);
  }
  return held;
}

absl::Status HeldModels::Add(const Digest& model) {
  if (!models_.empty() && models_.front() == model) return absl::OkStatus();
  std::erase(models_, model);
  models_.insert(models_.begin(), model);
  if (models_.size() > kMax) models_.resize(kMax);
  std::string text;
  for (const Digest& digest : models_) absl::StrAppend(&text, DigestHex(digest), "\n");
  return WriteSmallFile(path_, text);
}

std::vector<Digest> HeldModels::In(const BlobCache& cache) const {
  std::vector<Digest> present;
  std::copy_if(models_.begin(), models_.end(), std::back_inserter(present),
               [&cache](const Digest& model) { return cache.Has(model); });
  return present;
}

}  // namespace fedwatt
