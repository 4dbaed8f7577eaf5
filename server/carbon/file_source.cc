#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/carbon/carbon_source.h"
#include "server/carbon/intensity_series.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxFileBytes = 16 * 1024 * 1024;

class FileSource final : public CarbonSource {
 public:
  FileSource(std::string path, int64_t hold_ms, IntensitySeries series)
      : path_(std::move(path)), hold_ms_(hold_ms), series_(std::move(series)) {}

  static absl::StatusOr<IntensitySeries> Read(const std::string& path, int64_t hold_ms) {
    FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
    return ParseIntensitySeries(text, path, hold_ms);
  }

  absl::Status Refresh(int64_t) override {
    auto read = Read(path_, hold_ms_);
    MutexLock lock(&mutex_);
    if (read.ok() && read->kind() != series_.kind()) {
      read = absl::FailedPreconditionError(absl::StrCat(
          path_, " changed from ", CarbonKindText(series_.kind()), " to ",
          CarbonKindText(read->kind()), "; restart the coordinator to count in another kind"));
    }
    failure_ = read.status();
    if (read.ok()) series_ = *std::move(read);
    return failure_;
  }

  absl::StatusOr<CarbonIntensity> At(int64_t now_ms) const override {
    MutexLock lock(&mutex_);
    FW_ASSIGN_OR_RETURN(CarbonIntensity intensity, series_.At(now_ms));
    if (!failure_.ok()) {
      intensity.stale = true;
      intensity.note = StatusText(failure_);
    }
    return intensity;
  }

  absl::StatusOr<CarbonKind> Kind() const override {
    MutexLock lock(&mutex_);
    return series_.kind();
  }

 private:
  const std::string path_;
  const int64_t hold_ms_;

  mutable Mutex mutex_;
  IntensitySeries series_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<CarbonSource>> MakeFileSource(const CarbonConfig& config) {
  if (config.path.empty()) {
    return absl::InvalidArgumentError(
        "carbon source \"file\" needs the path of a CSV or JSON file");
  }
  // Jobs may name a region: no word of theirs leads out of the folder.
  if (absl::StrContains(config.region, '/') || absl::StartsWith(config.region, ".")) {
    return absl::InvalidArgumentError(
        absl::StrCat("carbon region \"", config.region, "\" cannot be a file's name"));
  }
  const std::string path = absl::StrReplaceAll(config.path, {{"{region}", config.region}});
  FW_ASSIGN_OR_RETURN(IntensitySeries series, FileSource::Read(path, config.hold_ms));
  return std::make_unique<FileSource>(path, config.hold_ms, std::move(series));
}

}  // namespace fedwatt
