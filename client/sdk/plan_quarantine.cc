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
  for (std::string line; quarantine.plans_.size() < kMaxPlans && std::getline(text, line);) {
    std::istringstream fields(line);
    std::string key;
    Plan plan;
    if (!(fields >> key >> plan.count.deaths >> plan.last_ms)) break;
    // Not in files of earlier builds.
    if (!(fields >> plan.count.reboots)) plan.count.reboots = 0;
    if (now_ms - plan.last_ms < kForgetMs) quarantine.plans_[key] = plan;
  }
  return quarantine;
}

std::string PlanQuarantine::Content() const {
  std::string text;
  for (const auto& [key, plan] : plans_) {
    absl::StrAppend(&text, key, " ", plan.count.deaths, " ", plan.last_ms, " ", plan.count.reboots,
                    "\n");
  }
  return SmallFileContent(text);
}

std::string PlanQuarantine::Count::ToString() const {
  return absl::StrCat(deaths, deaths == 1 ? " death" : " deaths", " of the process and ", reboots,
                      reboots == 1 ? " reboot" : " reboots");
}

PlanQuarantine::Count PlanQuarantine::Deaths(const std::string& key) const {
  const auto found = plans_.find(key);
  return found == plans_.end() ? Count() : found->second.count;
}

PlanQuarantine::Count PlanQuarantine::AddDeath(const std::string& key, bool rebooted,
                                               int64_t now_ms) {
  if (!plans_.contains(key) && plans_.size() >= kMaxPlans) {
    plans_.erase(std::min_element(plans_.begin(), plans_.end(), [](const auto& a, const auto& b) {
      return a.second.last_ms < b.second.last_ms;
    }));
  }
  Plan& plan = plans_[key];
  plan.last_ms = now_ms;
  ++(rebooted ? plan.count.reboots : plan.count.deaths);
  return plan.count;
}

}  // namespace fedwatt
