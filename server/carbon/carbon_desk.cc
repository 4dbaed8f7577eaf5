#include "server/carbon/carbon_desk.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

// One coordinator serves few regions; a client's words never come here.
constexpr size_t kMaxSources = 256;

}  // namespace

absl::StatusOr<std::shared_ptr<CarbonSource>> CarbonDesk::For(const std::string& source,
                                                              const std::string& region) {
  CarbonConfig config = config_;
  if (!source.empty() && source != config_.source) {
    if (source != "table") {
      return absl::InvalidArgumentError(
          absl::StrCat("carbon.source = \"", source, "\": this coordinator has \"", config_.source,
                       "\" (--carbon-source) and \"table\"; write one of them"));
    }
    config = CarbonConfig{.source = source, .region = config_.region};
  }
  if (!region.empty() && region != config.region) {
    config.region = region;
    // Its last answer in a file of its own, whatever characters the region has.
    if (!config.cache_file.empty()) {
      absl::StrAppend(&config.cache_file, ".", HexEncode(AsBytes(region)));
    }
  }
  MutexLock lock(&mutex_);
  const std::pair<std::string, std::string> key{config.source, config.region};
  if (const auto found = sources_.find(key); found != sources_.end()) return found->second.source;
  if (sources_.size() >= kMaxSources) {
    return absl::ResourceExhaustedError(
        absl::StrCat("carbon.region = \"", region, "\": ", kMaxSources, " regions are the limit"));
  }
  FW_ASSIGN_OR_RETURN(std::shared_ptr<CarbonSource> made, MakeCarbonSource(config));
  sources_[key].source = made;
  return made;
}

void CarbonDesk::Refresh(int64_t now_ms) {
  std::vector<std::pair<std::pair<std::string, std::string>, std::shared_ptr<CarbonSource>>> all;
  {
    MutexLock lock(&mutex_);
    for (const auto& [key, entry] : sources_) all.emplace_back(key, entry.source);
  }
  for (const auto& [key, source] : all) {
    const absl::Status refreshed = source->Refresh(now_ms);
    const std::string failure = refreshed.ok() ? "" : StatusText(refreshed);
    MutexLock lock(&mutex_);
    Entry& entry = sources_[key];
    if (entry.logged == failure) continue;
    entry.logged = failure;
    if (failure.empty()) {
      LogInfo("a carbon source answers again", {{"source", key.first}, {"region", key.second}});
    } else {
      LogWarning("a carbon source fails; its last good figure ages",
                 {{"source", key.first}, {"region", key.second}, {"error", failure}});
    }
  }
}

}  // namespace fedwatt
