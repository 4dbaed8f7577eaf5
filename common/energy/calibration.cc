#include "common/energy/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxBytes = 4096;
constexpr double kMaxWatts = 10'000;
constexpr double kMinRelativeSigma = 0.02;  // no two runs agree better
constexpr double kMinLoadSpread = 0.2;      // busy cores

absl::Status ParseNumber(const std::string& text, double low, double high, double* out) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !(value >= low && value <= high)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("'%s' is not a number from %g to %g", text, low, high));
  }
  *out = value;
  return absl::OkStatus();
}

absl::Status TakeField(const std::string& key, const std::string& value, EnergyCalibration* out) {
  if (key == "watts_per_busy_core") {
    return ParseNumber(value, 1e-3, kMaxWatts, &out->watts_per_busy_core);
  }
  if (key == "relative_sigma") return ParseNumber(value, 0, 10, &out->relative_sigma);
  if (key == "idle_watts") return ParseNumber(value, 0, kMaxWatts, &out->idle_watts);
  if (key == "cpu") {
    out->cpu = value;
  } else if (key == "source") {
    out->source = value;
  } else {
    const std::vector<std::string> known = {"cpu", "source", "watts_per_busy_core",
                                            "relative_sigma", "idle_watts"};
    return absl::InvalidArgumentError(absl::StrCat("unknown key", DidYouMean(key, known)));
  }
  return absl::OkStatus();
}

std::string EnvironmentOr(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

}  // namespace

std::string DefaultCalibrationPath() {
  const std::string named = EnvironmentOr("FEDWATT_CALIBRATION", "");
  if (!named.empty()) return named;
  const std::string home = EnvironmentOr("HOME", "");
  const std::string config =
      EnvironmentOr("XDG_CONFIG_HOME", home.empty() ? "" : home + "/.config");
  return (config.empty() ? "/etc" : config) + "/fedwatt/calibration";
}

absl::StatusOr<EnergyCalibration> ParseCalibration(const std::string& text) {
  EnergyCalibration calibration;
  std::map<std::string, int> lines_of;
  int number = 0;
  for (const auto& raw : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    absl::Status status = absl::InvalidArgumentError("not of the form key = value");
    if (equals != absl::string_view::npos) {
      const std::string key(absl::StripAsciiWhitespace(line.substr(0, equals)));
      const std::string value(absl::StripAsciiWhitespace(line.substr(equals + 1)));
      status = TakeField(key, value, &calibration);
      if (status.ok() && !lines_of.emplace(key, number).second) {
        status = absl::InvalidArgumentError(absl::StrCat(key, " is given twice"));
      }
    }
    if (!status.ok()) return Annotate(status, absl::StrCat("line ", number, ": ", line));
  }
  for (const char* const key : {"cpu", "source", "watts_per_busy_core", "idle_watts"}) {
    if (lines_of.count(key) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the line `", key, " = ...` is missing; run `fedwatt meter calibrate`"));
    }
  }
  return calibration;
}

std::string FormatCalibration(const EnergyCalibration& calibration) {
  return absl::StrFormat(
      "# Fitted by `fedwatt meter calibrate`; read by fedwatt-client. Of this host alone.\n"
      "cpu = %s\nsource = %s\nwatts_per_busy_core = %.4g\nrelative_sigma = %.3g\n"
      "idle_watts = %.4g\n",
      calibration.cpu, calibration.source, calibration.watts_per_busy_core,
      calibration.relative_sigma, calibration.idle_watts);
}

absl::StatusOr<EnergyCalibration> LoadCalibration(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  const absl::StatusOr<EnergyCalibration> calibration = ParseCalibration(text);
  if (!calibration.ok()) return Annotate(calibration.status(), path);
  return calibration;
}

std::string ProcessorName(const SysfsTree& tree) {
  const absl::StatusOr<std::string> info = tree.Text("proc/cpuinfo");
  // Only the beginning is of interest, and a large machine's list is longer than a page.
  const std::string text =
      info.ok() ? *info : ReadFile(tree.Absolute("proc/cpuinfo"), uint64_t{4} << 20).value_or("");
  for (const auto& line : absl::StrSplit(text, '\n')) {
    for (const char* const key : {"model name", "Model", "Hardware"}) {
      if (line.substr(0, std::string(key).size()) != key) continue;
      const size_t colon = line.find(':');
      if (colon == absl::string_view::npos) continue;
      const std::string name(absl::StripAsciiWhitespace(line.substr(colon + 1)));
      return std::string(name.substr(0, name.find('#')));
    }
  }
  return "unknown";
}

absl::Status ApplyCalibration(const EnergyCalibration& calibration, EnergyMeterEnv* env) {
  const std::string cpu = ProcessorName(SysfsTree(env->sysfs_root, env->read_file));
  if (cpu != calibration.cpu) {
    return absl::FailedPreconditionError(absl::StrCat("the calibration is of the processor '",
                                                      calibration.cpu, "', this one is '", cpu,
                                                      "'; run `fedwatt meter calibrate` here"));
  }
  env->watts_per_busy_core = calibration.watts_per_busy_core;
  env->watts_relative_sigma = calibration.relative_sigma;
  env->idle_watts[calibration.source] = calibration.idle_watts;
  return absl::OkStatus();
}

absl::StatusOr<EnergyCalibration> FitCalibration(const std::vector<LoadPoint>& points) {
  if (points.size() < 3) {
    return absl::FailedPreconditionError(
        absl::StrCat("only ", points.size(), " of the stretches have a figure; 3 are needed"));
  }
  const double count = static_cast<double>(points.size());
  double mean_load = 0, mean_watts = 0;
  for (const LoadPoint& point : points) {
    mean_load += point.busy_cores / count;
    mean_watts += point.watts / count;
  }
  double load_sq = 0, product = 0;
  for (const LoadPoint& point : points) {
    load_sq += (point.busy_cores - mean_load) * (point.busy_cores - mean_load);
    product += (point.busy_cores - mean_load) * (point.watts - mean_watts);
  }
  if (load_sq < kMinLoadSpread * kMinLoadSpread) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the load did not change (%.2f busy cores throughout): is the machine busy with something "
        "else?",
        mean_load));
  }
  EnergyCalibration fit;
  fit.watts_per_busy_core = product / load_sq;
  fit.idle_watts = std::max(0.0, mean_watts - fit.watts_per_busy_core * mean_load);
  double residual_sq = 0;
  for (const LoadPoint& point : points) {
    const double predicted = mean_watts + fit.watts_per_busy_core * (point.busy_cores - mean_load);
    residual_sq += (point.watts - predicted) * (point.watts - predicted);
  }
  const double sigma = std::sqrt(residual_sq / (count - 2) / load_sq);
  if (!(fit.watts_per_busy_core > 2 * sigma)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the meter does not follow the load: %.3g W per busy core with a deviation of %.2g W",
        fit.watts_per_busy_core, sigma));
  }
  fit.relative_sigma = std::max(kMinRelativeSigma, sigma / fit.watts_per_busy_core);
  return fit;
}

}  // namespace fedwatt
