#include "common/energy/rapl_meter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxSysfsBytes = 4096;
// Above it, a counter may have wrapped twice between two readings (a package of 500 W wraps a
// range of 262 kJ, the usual one, in 8.7 minutes).
constexpr double kMaxPackageWatts = 500;

struct Domain {
  std::string path;
  std::string name;
  int64_t range_uj = 0;  // 0: unknown, then a counter that went back gives no figure
};

absl::StatusOr<int64_t> ReadNumber(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSysfsBytes));
  int64_t value = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &value) || value < 0) {
    return absl::DataLossError(absl::StrCat(path, " holds '", text, "', not a number"));
  }
  return value;
}

// Packages, without the sub-domains that they contain and the mmio twins that count the same.
absl::StatusOr<std::vector<Domain>> FindDomains(const std::string& root) {
  const std::string dir = absl::StrCat(root, root.back() == '/' ? "" : "/", "sys/class/powercap");
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDir(dir));
  std::vector<Domain> packages;
  std::vector<Domain> psys;
  for (const std::string& entry : entries) {
    const bool top_level =
        entry.rfind("intel-rapl:", 0) == 0 && std::count(entry.begin(), entry.end(), ':') == 1;
    if (!top_level) continue;
    Domain domain{.path = absl::StrCat(dir, "/", entry)};
    FW_ASSIGN_OR_RETURN(std::string name, ReadFile(domain.path + "/name", kMaxSysfsBytes));
    domain.name = std::string(absl::StripAsciiWhitespace(name));
    const auto range = ReadNumber(domain.path + "/max_energy_range_uj");
    if (range.ok()) domain.range_uj = *range;
    FW_RETURN_IF_ERROR(ReadNumber(domain.path + "/energy_uj").status());
    (domain.name == "psys" ? psys : packages).push_back(std::move(domain));
  }
  if (packages.empty() && psys.empty()) {
    return absl::NotFoundError(absl::StrCat(dir, " has no intel-rapl package"));
  }
  return packages.empty() ? psys : packages;
}

class RaplMeter : public EnergyMeter {
 public:
  RaplMeter(const EnergyMeterEnv& env, std::vector<Domain> domains)
      : env_(env),
        domains_(std::move(domains)),
        derived_(env.cpu_time_us != nullptr && env.machine_cpu_time_us != nullptr) {}

  std::string name() const override { return "rapl"; }
  EnergyQuality quality() const override {
    return derived_ ? EnergyQuality::kDerived : EnergyQuality::kMeasured;
  }
  EnergyScope scope() const override {
    return derived_ ? EnergyScope::kProcess : EnergyScope::kPackage;
  }

  Window Begin(Phase phase) override {
    open_[++last_] = Take(phase);
    return last_;
  }

  EnergySample End(Window window, uint64_t bytes) override {
    EnergySample sample;
    sample.source = name();
    sample.scope = scope();
    const auto it = open_.find(window);
    if (it == open_.end()) return sample;
    const Reading begin = std::move(it->second);
    open_.erase(it);
    const Reading end = Take(begin.phase);
    sample.phase = begin.phase;
    sample.bytes = bytes;
    sample.duration_us = end.at_us - begin.at_us;
    const std::optional<int64_t> total_uj = TotalBetween(begin, end);
    if (!total_uj) return sample;
    sample.coverage = 1;
    if (!derived_) {
      sample.energy_uj = total_uj;
      sample.quality = quality();
      return sample;
    }
    const int64_t machine_us = end.machine_cpu_us - begin.machine_cpu_us;
    const int64_t own_us = end.own_cpu_us - begin.own_cpu_us;
    if (machine_us < 0 || own_us < 0) return sample;
    // Machine time comes in ticks of 10 ms: in a short window ours may exceed it.
    const double share =
        machine_us == 0
            ? 1.0
            : std::min(1.0, static_cast<double>(own_us) / static_cast<double>(machine_us));
    sample.machine_energy_uj = total_uj;
    sample.energy_uj = std::llround(static_cast<double>(*total_uj) * share);
    sample.quality = quality();
    return sample;
  }

 private:
  struct Reading {
    Phase phase = Phase::kTrain;
    int64_t at_us = 0;
    int64_t own_cpu_us = 0;
    int64_t machine_cpu_us = 0;
    std::vector<std::optional<int64_t>> energy_uj;  // per domain; a failed read is a gap
  };

  Reading Take(Phase phase) const {
    Reading reading{.phase = phase, .at_us = env_.clock->MonotonicUs()};
    if (derived_) {
      reading.own_cpu_us = env_.cpu_time_us();
      reading.machine_cpu_us = env_.machine_cpu_time_us();
    }
    for (const Domain& domain : domains_) {
      const auto value = ReadNumber(domain.path + "/energy_uj");
      reading.energy_uj.push_back(value.ok() ? std::optional(*value) : std::nullopt);
    }
    return reading;
  }

  std::optional<int64_t> TotalBetween(const Reading& begin, const Reading& end) const {
    const double seconds = static_cast<double>(end.at_us - begin.at_us) * 1e-6;
    int64_t total = 0;
    for (size_t d = 0; d < domains_.size(); ++d) {
      if (!begin.energy_uj[d] || !end.energy_uj[d]) return std::nullopt;
      const int64_t range = domains_[d].range_uj;
      int64_t spent = *end.energy_uj[d] - *begin.energy_uj[d];
      if (spent < 0) {
        if (range == 0) return std::nullopt;
        spent += range;
      }
      const bool may_have_wrapped_twice =
          range > 0 && seconds * kMaxPackageWatts * 1e6 > static_cast<double>(range);
      if (spent < 0 || may_have_wrapped_twice) return std::nullopt;
      total += spent;
    }
    return total;
  }

  const EnergyMeterEnv env_;
  const std::vector<Domain> domains_;
  const bool derived_;
  Window last_ = 0;
  std::map<Window, Reading> open_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRaplMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  auto domains = FindDomains(env.sysfs_root);
  if (!domains.ok()) return absl::UnavailableError(std::string(domains.status().message()));
  return std::make_unique<RaplMeter>(env, *std::move(domains));
}

}  // namespace fedwatt
