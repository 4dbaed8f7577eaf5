#include "common/model/ids.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"

namespace fedwatt {

bool IsId(const std::string& text) {
  return !text.empty() && text.size() <= bounds::kMaxIdLength &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string RoundKey::ToString() const {
  return absl::StrCat(job, evaluation ? "/e" : "/r", round, "/a", attempt);
}

std::string MakeAssignmentId(const RoundKey& key, uint32_t index) {
  return absl::StrCat(key.ToString(), "/", index);
}

}  // namespace fedwatt
