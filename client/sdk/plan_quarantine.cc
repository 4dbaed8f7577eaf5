#include "client/sdk/plan_quarantine.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/small_file.h"
#include "common/base/bytes.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

std::string PlanQuarantine::KeyOf(const Assignment& assignment, const Device& device) {
  const std::string text =
      absl::StrCat(assignment.key.job, "\n", assignment.kind == AssignmentKind::kTrain, "\n",
                   DigestHex(assignment.bundle.sha256), "\n", assignment.dataset.name, "\n",
                   device.trainer, "\n", device.sdk_version, "\n", device.app_version);
  return Sha256Hex(AsBytes(text)).substr(0, 32);
}

PlanQuarantine PlanQuarantine::Load(const std::string& path, int64_t now_ms) {
  PlanQuarantine quarantine(path);
  std::istringstream text(ReadSmallFile(path).value_or(""));
  std::string key;
  Plan plan;
  while (quarantine.plans_.size() < kMaxPlans && text >> key >> plan.deaths >> plan.last_ms) {
    if (now_ms - plan.last_ms < kForgetMs) quarantine.plans_[key] = plan;
  }
  return quarantine;
}

std::string PlanQuarantine::Content() const {
  std::string text;
  for (const auto& [key, plan] : plans_) {
    absl::StrAppend(&text, key, " ", plan.deaths, " ", plan.last_ms, "\n");
  }
  return SmallFileContent(text);
}

uint32_t PlanQuarantine::Deaths(const std::string& key) const {
  const auto found = plans_.find(key);
  return found == plans_.end() ? 0 : found->second.deaths;
}

uint32_t PlanQuarantine::AddDeath(const std::string& key, int64_t now_ms) {
  if (!plans_.contains(key) && plans_.size() >= kMaxPlans) {
    plans_.erase(std::min_element(plans_.begin(), plans_.end(), [](const auto& a, const auto& b) {
      return a.second.last_ms < b.second.last_ms;
    }));
  }
  Plan& plan = plans_[key];
  plan.last_ms = now_ms;
  return ++plan.deaths;
}

}  // namespace fedwatt
