#include "client/sdk/cost_log.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/sdk/small_file.h"
#include "common/base/status_macros.h"
#include "common/model/telemetry.h"

namespace fedwatt {
namespace {

constexpr char kUpRate[] = "up_bytes_per_s";
constexpr char kDownRate[] = "down_bytes_per_s";
constexpr char kUpJoules[] = "up_joules_per_byte";
constexpr char kDownJoules[] = "down_joules_per_byte";
constexpr char kEncodeJoules[] = "encode_joules_per_coordinate";
constexpr char kTrainJoules[] = "train_joules";
constexpr char kTrainSeconds[] = "train_seconds";
constexpr char kMeanLoss[] = "mean_loss";

constexpr double kMaxCost = 1e12;

std::string KindOf(const EnergySample& sample) {
  std::string kind = absl::StrCat(sample.source, "/", EnergyScopeName(sample.scope), "/",
                                  EnergyQualityName(sample.quality));
  // The file's separators.
  for (char& letter : kind) {
    if (letter == ' ' || letter == '\n') letter = '_';
  }
  return kind;
}

double Joules(const EnergySample& sample) { return static_cast<double>(*sample.energy_uj) * 1e-6; }
double Seconds(int64_t duration_us) { return static_cast<double>(duration_us) * 1e-6; }

}  // namespace

CostLog CostLog::Load(const std::string& path) {
  CostLog log(path);
  const absl::StatusOr<std::string> text = ReadSmallFile(path);
  if (!text.ok()) return log;
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    Ratio ratio;
    if (words.size() != 4 || !absl::SimpleAtod(words[1], &ratio.of) ||
        !absl::SimpleAtod(words[2], &ratio.per)) {
      continue;
    }
    if (!(ratio.of >= 0 && std::isfinite(ratio.of) && ratio.per > 0 && std::isfinite(ratio.per))) {
      continue;
    }
    ratio.kind = words[3];
    log.ratios_[words[0]] = ratio;
  }
  return log;
}

void CostLog::Add(const std::string& name, double of, double per, const std::string& kind) {
  if (!(of >= 0) || !(per > 0)) return;
  Ratio& ratio = ratios_[name];
  if (ratio.kind != kind) ratio = Ratio{0, 0, kind};
  ratio.of = (1 - kForget) * ratio.of + of;
  ratio.per = (1 - kForget) * ratio.per + per;
  changed_ = true;
}

void CostLog::AddTransfer(const EnergySample& sample, int64_t duration_us) {
  if (sample.bytes < kMinTransferBytes) return;
  const bool up = sample.phase == Phase::kUpload;
  const double bytes = static_cast<double>(sample.bytes);
  Add(up ? kUpRate : kDownRate, bytes, Seconds(duration_us), "-");
  if (!sample.energy_uj.has_value()) return;
  Add(up ? kUpJoules : kDownJoules, Joules(sample), bytes, KindOf(sample));
}

void CostLog::AddEncoding(const EnergySample& sample, uint64_t coordinates) {
  if (!sample.energy_uj.has_value()) return;
  Add(kEncodeJoules, Joules(sample), static_cast<double>(coordinates), KindOf(sample));
}

void CostLog::SetTraining(const EnergySample& sample, int64_t duration_us) {
  ratios_.erase(kTrainJoules);
  ratios_.erase(kTrainSeconds);
  changed_ = true;
  Add(kTrainSeconds, Seconds(duration_us), 1, "-");
  if (sample.energy_uj.has_value()) Add(kTrainJoules, Joules(sample), 1, KindOf(sample));
}

void CostLog::SetLoss(const UpdateMetrics& metrics) {
  const std::optional<LossSums>& sums = metrics.before ? metrics.before : metrics.after;
  if (ratios_.erase(kMeanLoss) > 0) changed_ = true;
  if (!sums.has_value() || !std::isfinite(sums->loss_sum)) return;
  Add(kMeanLoss, sums->loss_sum, static_cast<double>(sums->examples), "-");
}

std::optional<double> CostLog::mean_loss() const { return Value(kMeanLoss); }

std::optional<double> CostLog::Value(const std::string& name) const {
  const auto found = ratios_.find(name);
  if (found == ratios_.end()) return std::nullopt;
  const double value = found->second.of / found->second.per;
  // Beyond it a clock or a meter was wrong, and the coordinator would refuse the check-in.
  return value <= kMaxCost ? std::optional(value) : std::nullopt;
}

CostEstimate CostLog::Estimate(const CostEstimate& stated) const {
  CostEstimate costs = stated;
  const auto fill = [this](const char* name, std::optional<double>* cost) {
    if (!cost->has_value()) *cost = Value(name);
  };
  fill(kUpRate, &costs.up_bytes_per_s);
  fill(kDownRate, &costs.down_bytes_per_s);
  fill(kUpJoules, &costs.up_joules_per_byte);
  fill(kDownJoules, &costs.down_joules_per_byte);
  fill(kEncodeJoules, &costs.encode_joules_per_coordinate);
  fill(kTrainJoules, &costs.train_joules);
  fill(kTrainSeconds, &costs.train_seconds);
  return costs;
}

CostEstimate WithCoarseLink(CostEstimate costs, const CostEstimate& stated) {
  const auto coarse = [](const std::optional<double>& owners, std::optional<double>* speed) {
    if (owners.has_value() || !speed->has_value()) return;
    const std::optional<uint8_t> bucket = LinkBucket(**speed);
    *speed = bucket.has_value() ? std::optional(LinkBytesPerSecondOf(*bucket)) : std::nullopt;
  };
  coarse(stated.up_bytes_per_s, &costs.up_bytes_per_s);
  coarse(stated.down_bytes_per_s, &costs.down_bytes_per_s);
  return costs;
}

absl::Status CostLog::SaveNowAndThen(int64_t now_us) {
  if (!changed_) return absl::OkStatus();
  if (saved_us_.has_value() && now_us - *saved_us_ < kSaveEveryMs * 1000) return absl::OkStatus();
  saved_us_ = now_us;
  return Save();
}

absl::Status CostLog::Save() {
  if (!changed_) return absl::OkStatus();
  std::string text;
  for (const auto& [name, ratio] : ratios_) {
    absl::StrAppendFormat(&text, "%s %.17g %.17g %s\n", name, ratio.of, ratio.per, ratio.kind);
  }
  changed_ = false;
  return WriteSmallFile(path_, text);
}

}  // namespace fedwatt
