#include "server/carbon/http_source.h"

#include <cctype>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"
#include "nlohmann/json.hpp"
#include "server/carbon/http_get.h"

namespace fedwatt {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxTokenBytes = 16 * 1024;
constexpr uint64_t kMaxCacheBytes = 16 * 1024 * 1024;

// The first line of the file: what would end a header line would begin another.
absl::StatusOr<std::string> ReadToken(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenBytes));
  const std::string token(absl::StripAsciiWhitespace(text));
  if (token.empty()) return absl::FailedPreconditionError(absl::StrCat(path, " holds no token"));
  for (const char c : token) {
    if (std::isgraph(static_cast<unsigned char>(c)) != 0) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(path, " holds more than one line or word; it should hold the token alone"));
  }
  return token;
}

class HttpSource final : public CarbonSource {
 public:
  HttpSource(std::unique_ptr<CarbonService> service, CarbonConfig config)
      : service_(std::move(service)),
        config_(std::move(config)),
        label_(absl::StrCat(service_->name(), ": ", config_.region)) {
    failure_ = absl::UnavailableError("not asked yet");
    ReadCache();
  }

  absl::Status Refresh(int64_t now_ms) override {
    std::string note;
    auto series = Ask(now_ms, &note);
    if (series.ok()) WriteCache(*series);
    MutexLock lock(&mutex_);
    failure_ = Annotate(series.status(), label_);
    if (!series.ok()) return failure_;
    series_ = *std::move(series);
    note_ = std::move(note);
    return absl::OkStatus();
  }

  absl::StatusOr<CarbonIntensity> At(int64_t now_ms) const override {
    MutexLock lock(&mutex_);
    if (!series_) return absl::UnavailableError(std::string(failure_.message()));
    FW_ASSIGN_OR_RETURN(CarbonIntensity intensity, series_->At(now_ms));
    // A forecast covers hours in which its service may be away.
    if (intensity.note.empty()) intensity.note = note_;
    if (intensity.stale && !failure_.ok()) {
      absl::StrAppend(&intensity.note, "; ", std::string(failure_.message()));
    }
    return intensity;
  }

  absl::StatusOr<CarbonKind> Kind() const override { return service_->kind(); }

 private:
  absl::StatusOr<IntensitySeries> Ask(int64_t now_ms, std::string* note) const {
    FW_ASSIGN_OR_RETURN(const std::string token, ReadToken(config_.token_file));
    HttpRequest request;
    request.url = service_->Url(config_.url, config_.region);
    request.headers = {service_->TokenHeader(token)};
    request.timeout_ms = config_.timeout_ms;
    request.ca_file = config_.ca_file;
    FW_ASSIGN_OR_RETURN(const std::string body, HttpGet(request));
    FW_ASSIGN_OR_RETURN(ServiceAnswer answer, service_->Parse(body, config_.region, now_ms));
    KeepPresent(now_ms, &answer.points);
    *note = std::move(answer.note);
    return IntensitySeries::Make(std::move(answer.points), service_->kind(), label_,
                                 config_.hold_ms);
  }

  // A forecast may begin after now: until then the one before it holds.
  void KeepPresent(int64_t now_ms, std::vector<IntensityPoint>* points) const {
    if (points->empty() || points->front().time_ms <= now_ms) return;
    MutexLock lock(&mutex_);
    if (!series_) return;
    const auto present = series_->At(now_ms);
    if (present.ok()) points->insert(points->begin(), {present->time_ms, present->g_per_kwh});
  }

  absl::StatusOr<IntensitySeries> ParseCache() const {
    FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_.cache_file, kMaxCacheBytes));
    return ParseIntensitySeries(text, config_.cache_file, config_.hold_ms);
  }

  // The cache is a series like a user's own, under the name of its source.
  void ReadCache() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (config_.cache_file.empty() || !FileExists(config_.cache_file)) return;
    auto series = ParseCache();
    if (series.ok() && series->kind() == service_->kind() && series->source() == label_) {
      series_ = *std::move(series);
      return;
    }
    LogWarning("a carbon cache is of no use and will be replaced",
               {{"file", config_.cache_file},
                {"reason", series.ok() ? absl::StrCat("it is of ", series->source())
                                       : StatusText(series.status())}});
  }

  void WriteCache(const IntensitySeries& series) const {
    if (config_.cache_file.empty()) return;
    Json json = {{"kind", CarbonKindText(series.kind())}, {"source", label_}};
    json["data"] = Json::array();
    for (const IntensityPoint& point : series.points()) {
      json["data"].push_back({{"time", UtcTime(point.time_ms)}, {"g_per_kwh", point.g_per_kwh}});
    }
    const absl::Status written = WriteFileAtomic(config_.cache_file, json.dump());
    if (written.ok()) return;
    LogWarning("cannot keep a carbon figure for the next start", {{"error", StatusText(written)}});
  }

  const std::unique_ptr<CarbonService> service_;
  const CarbonConfig config_;
  const std::string label_;

  mutable Mutex mutex_;
  std::optional<IntensitySeries> series_ ABSL_GUARDED_BY(mutex_);
  std::string note_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<CarbonSource>> MakeHttpSource(std::unique_ptr<CarbonService> service,
                                                             const CarbonConfig& config) {
  const std::string name = service->name();
  if (config.region.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("carbon source \"", name, "\" needs a region"));
  }
  if (config.token_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("carbon source \"", name, "\" needs the file of its token"));
  }
  return std::make_unique<HttpSource>(std::move(service), config);
}

}  // namespace fedwatt
