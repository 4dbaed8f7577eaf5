#include "server/carbon/carbon_desk.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

// One coordinator serves few regions; a client's words never come here.
constexpr size_t kMaxSources = 256;
constexpr uint64_t kMaxSurplusBytes = uint64_t{32} << 20;

absl::StatusOr<SurplusSeries> ReadSurplusFile(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSurplusBytes));
  return SurplusSeries::Parse(text, path);
}

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

absl::Status CarbonDesk::AllowClientRegions(const std::vector<std::string>& regions) {
  if (regions.empty()) return absl::OkStatus();
  if (config_.source == "file" && !absl::StrContains(config_.path, "{region}")) {
    return absl::InvalidArgumentError(
        absl::StrCat("client regions need a carbon source that knows regions; \"file\" (",
                     config_.path, ") is of one; name a file for each, as grids/{region}.csv"));
  }
  std::vector<std::string> all = regions;
  if (!config_.region.empty()) all.push_back(config_.region);
  for (const std::string& region : all) {
    FW_ASSIGN_OR_RETURN(std::shared_ptr<CarbonSource> source, For("", region));
    MutexLock lock(&mutex_);
    of_clients_[region] = std::move(source);
  }
  return absl::OkStatus();
}

std::map<std::string, CarbonIntensity> CarbonDesk::FiguresOfClients(int64_t now_ms) const {
  std::map<std::string, CarbonIntensity> figures;
  MutexLock lock(&mutex_);
  for (const auto& [region, source] : of_clients_) {
    auto figure = source->At(now_ms);
    if (figure.ok()) figures[region] = *std::move(figure);
  }
  return figures;
}

absl::Status CarbonDesk::ReadSurplus(const std::string& path) {
  FW_ASSIGN_OR_RETURN(SurplusSeries series, ReadSurplusFile(path));
  MutexLock lock(&mutex_);
  surplus_path_ = path;
  surplus_ = std::move(series);
  return absl::OkStatus();
}

std::map<std::string, double> CarbonDesk::SurplusWatts(int64_t now_ms) const {
  MutexLock lock(&mutex_);
  return surplus_ ? surplus_->At(now_ms) : std::map<std::string, double>();
}

void CarbonDesk::RefreshSurplus() {
  std::string path;
  {
    MutexLock lock(&mutex_);
    path = surplus_path_;
  }
  if (path.empty()) return;
  auto read = ReadSurplusFile(path);
  const std::string failure = read.ok() ? "" : StatusText(read.status());
  MutexLock lock(&mutex_);
  if (read.ok()) surplus_ = *std::move(read);
  if (surplus_logged_ == failure) return;
  surplus_logged_ = failure;
  if (failure.empty()) {
    LogInfo("the surplus of power can be read again", {{"file", path}});
  } else {
    LogWarning("the surplus of power cannot be read; its last figures hold as long as they say",
               {{"file", path}, {"error", failure}});
  }
}

void CarbonDesk::Refresh(int64_t now_ms) {
  RefreshSurplus();
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
