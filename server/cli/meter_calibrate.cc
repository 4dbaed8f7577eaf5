#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/energy/calibration.h"
#include "common/energy/energy_meter.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/load_run.h"

namespace fedwatt::cli {
namespace {

int64_t MachineUs() { return MachineCpuTimeUs().value_or(0); }

// The best meter of the whole machine, never an estimate: that is what is to be fitted.
absl::StatusOr<MeterChoice> RealMeter(const Context& context, const MeterOptions& options) {
  EnergyMeterEnv env;
  env.sysfs_root = options.sysfs_root;
  env.clock = context.clock;
  env.cpu_time_us = MachineUs;
  env.start_polling = StartThreadPollTimer;
  absl::StatusOr<MeterChoice> choice = ChooseEnergyMeter(options.meter, env);
  if (choice.ok() && choice->meter->quality() == EnergyQuality::kMeasured) return choice;
  if (!choice.ok() && !absl::IsUnavailable(choice.status())) return choice.status();
  const std::string why = !choice.ok() ? std::string(choice.status().message())
                          : options.meter == "auto"
                              ? absl::StrJoin(choice->rejected, "; ")
                              : absl::StrCat(options.meter, " measures nothing");
  return absl::NotFoundError(absl::StrCat(
      "this host has no meter to fit against, so that there is nothing to calibrate (", why,
      "); `fedwatt meter list` says what is missing, and fedwatt-client --watts-per-core takes a "
      "figure that you know"));
}

LoadRunDeps MakeDeps(const Context& context, EnergyMeter* meter) {
  LoadRunDeps deps;
  deps.meter = meter;
  deps.clock = context.clock;
  deps.machine_cpu_us = MachineUs;
  deps.load = [shutdown = context.shutdown](int cores, int64_t us) -> absl::Status {
    const BusyCores busy(cores);
    if (!shutdown->WaitFor(us / 1000)) return absl::OkStatus();
    return absl::CancelledError("interrupted; nothing was written");
  };
  if (context.json) return deps;
  const bool live = isatty(STDERR_FILENO) != 0;
  deps.progress = [live](size_t done, size_t of, const LoadPoint& point) {
    std::cerr << (live ? "\r\x1b[2K" : "")
              << absl::StrFormat("%d/%d  %.2f busy cores  %.2f W", done, of, point.busy_cores,
                                 point.watts)
              << (live && done < of ? "" : "\n") << std::flush;
  };
  return deps;
}

absl::StatusOr<EnergyCalibration> Calibrate(const Context& context,
                                            const MeterCalibrateOptions& options) {
  FW_ASSIGN_OR_RETURN(const MeterChoice choice, RealMeter(context, options.meter));
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::string why_not;
  FW_ASSIGN_OR_RETURN(const std::vector<LoadPoint> points,
                      RunLoads(MakeDeps(context, choice.meter.get()), cores,
                               std::llround(options.seconds * 1e6), &why_not));
  absl::StatusOr<EnergyCalibration> fit = FitCalibration(points);
  if (!fit.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        std::string(fit.status().message()), why_not.empty() ? "" : "; the meter says: ", why_not));
  }
  fit->source = choice.meter->name();
  fit->cpu = ProcessorName(SysfsTree(options.meter.sysfs_root));
  return fit;
}

}  // namespace

int CalibrateMeter(const Context& context, const MeterCalibrateOptions& options) {
  const absl::StatusOr<EnergyCalibration> fit = Calibrate(context, options);
  if (!fit.ok()) return Fail(context, fit.status());
  const std::string path = options.output.empty() ? DefaultCalibrationPath() : options.output;
  absl::Status written = EnsureDir(DirName(path));
  if (written.ok()) written = WriteFileAtomic(path, FormatCalibration(*fit));
  if (!written.ok()) return Fail(context, written);
  if (context.json) {
    std::cout << nlohmann::json({{"file", path},
                                 {"source", fit->source},
                                 {"cpu", fit->cpu},
                                 {"watts_per_busy_core", fit->watts_per_busy_core},
                                 {"relative_sigma", fit->relative_sigma},
                                 {"idle_watts", fit->idle_watts}})
                     .dump(2)
              << std::endl;
  } else {
    std::cout << absl::StrFormat(
                     "%.3g W idle and %.3g W per busy core (+- %.0f %%), by %s\nwritten to %s, "
                     "which fedwatt-client reads\n",
                     fit->idle_watts, fit->watts_per_busy_core, fit->relative_sigma * 100,
                     fit->source, path)
              << std::flush;
  }
  return kOk;
}

}  // namespace fedwatt::cli
