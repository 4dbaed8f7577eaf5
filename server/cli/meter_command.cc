#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/energy/calibration.h"
#include "common/energy/energy_meter.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/energy_text.h"
#include "server/cli/exit_codes.h"
#include "server/cli/text_table.h"

namespace fedwatt::cli {
namespace {

using nlohmann::json;

constexpr int kNoSuchCommand = 127;  // as shells say it
constexpr int kCannotRun = 126;
constexpr int kSignalBase = 128;
constexpr int64_t kLookMs = 100;

int64_t MachineUs() { return MachineCpuTimeUs().value_or(0); }

EnergyMeterEnv BaseEnv(const Context& context, const MeterOptions& options) {
  EnergyMeterEnv env;
  env.sysfs_root = options.sysfs_root;
  env.clock = context.clock;
  env.start_polling = StartThreadPollTimer;
  const auto calibration = LoadCalibration(DefaultCalibrationPath());
  // One that cannot be used is fedwatt-client's to complain about.
  if (calibration.ok()) (void)ApplyCalibration(*calibration, &env);
  return env;
}

// What the whole machine uses.
EnergyMeterEnv MachineEnv(const Context& context, const MeterOptions& options) {
  EnergyMeterEnv env = BaseEnv(context, options);
  env.cpu_time_us = MachineUs;  // the estimate is of all busy cores
  return env;
}

// What a command and its children use.
EnergyMeterEnv CommandEnv(const Context& context, const MeterOptions& options) {
  EnergyMeterEnv env = BaseEnv(context, options);
  env.cpu_time_us = EndedChildrenCpuTimeUs;
  env.machine_cpu_time_us = MachineUs;
  return env;
}

// UNAVAILABLE would read as "no coordinator".
absl::StatusOr<MeterChoice> Choose(const MeterOptions& options, const EnergyMeterEnv& env) {
  absl::StatusOr<MeterChoice> choice = ChooseEnergyMeter(options.meter, env);
  if (choice.ok() || !absl::IsUnavailable(choice.status())) return choice;
  return absl::NotFoundError(
      absl::StrCat(std::string(choice.status().message()), "; `fedwatt meter list` shows all"));
}

const char* RoleText(MeterRole role) {
  switch (role) {
    case MeterRole::kMain:
      return "main";
    case MeterRole::kBeside:
      return "beside";
    case MeterRole::kNamed:
      return "by name";
  }
  return "unknown";
}

// Watts over the time watched, for the summary; of the main source alone.
struct Summary {
  int64_t windows = 0;
  int64_t seen = 0;
  double energy_uj = 0;
  double seconds = 0;
  double min_w = 0;
  double max_w = 0;

  void Add(const EnergySample& sample) {
    ++windows;
    const double watts = WattsOf(sample);
    if (std::isnan(watts)) return;
    min_w = seen == 0 ? watts : std::min(min_w, watts);
    max_w = seen == 0 ? watts : std::max(max_w, watts);
    ++seen;
    energy_uj += static_cast<double>(*sample.energy_uj);
    seconds += static_cast<double>(sample.duration_us) * sample.coverage * 1e-6;
  }
};

std::string WattsLine(const EnergySample& sample) {
  std::string line;
  const auto add = [&line](const EnergySample& one) {
    const double watts = WattsOf(one);
    if (!line.empty()) absl::StrAppend(&line, "   ");
    if (std::isnan(watts)) {
      absl::StrAppend(&line, one.source, " unavailable: ", one.reason);
    } else {
      absl::StrAppendFormat(&line, "%8.3f W  %s (%s, %s)", watts, one.source,
                            EnergyQualityName(one.quality), EnergyScopeName(one.scope));
    }
  };
  add(sample);
  for (const EnergySample& other : sample.beside) add(other);
  return line;
}

void PrintSummary(const Context& context, const Summary& summary) {
  if (context.json) {
    json out = {{"windows", summary.windows}, {"with_figure", summary.seen}};
    if (summary.seen > 0) {
      out.update({{"energy_j", summary.energy_uj * 1e-6},
                  {"seconds", summary.seconds},
                  {"mean_w", summary.energy_uj * 1e-6 / summary.seconds},
                  {"min_w", summary.min_w},
                  {"max_w", summary.max_w}});
    }
    std::cout << json({{"summary", out}}).dump() << std::endl;
  } else if (summary.seen == 0) {
    std::cout << "no figure in " << summary.windows << " windows" << std::endl;
  } else {
    std::cout << absl::StrFormat("%s in %.1f s seen: mean %.3f W, least %.3f W, most %.3f W",
                                 JoulesText(std::llround(summary.energy_uj)), summary.seconds,
                                 summary.energy_uj * 1e-6 / summary.seconds, summary.min_w,
                                 summary.max_w)
              << std::endl;
  }
}

void PrintFinding(const Context& context, const EnergySample& sample, bool live) {
  if (context.json) {
    std::cout << SampleJson(sample).dump() << std::endl;
  } else if (live) {
    std::cout << "\r\x1b[2K" << WattsLine(sample) << std::flush;
  } else {
    std::cout << WattsLine(sample) << std::endl;
  }
}

// Until the command has ended. A signal to us alone goes on to it; a terminal's Ctrl-C has reached
// it already.
absl::StatusOr<ExitStatus> WaitForCommand(const Context& context, Subprocess* command) {
  bool told = false;
  while (true) {
    absl::StatusOr<ExitStatus> ended = command->Wait(kLookMs);
    if (ended.ok() || !absl::IsDeadlineExceeded(ended.status())) return ended;
    if (!context.shutdown->requested() || std::exchange(told, true)) continue;
    const int signal_number = context.shutdown->signal_number();
    if (signal_number != SIGINT) FW_RETURN_IF_ERROR(command->Kill(signal_number));
  }
}

int Refuse(const Context& context, const absl::Status& status) {
  (void)Fail(context, status);
  return absl::IsPermissionDenied(status) ? kCannotRun : kNoSuchCommand;
}

}  // namespace

int ListMeters(const Context& context, const MeterOptions& options) {
  const EnergyMeterEnv env = CommandEnv(context, options);
  json out = {{"meters", json::array()}};
  std::vector<std::vector<std::string>> table = {{"meter", "here", "quality", "scope", "role"}};
  std::string details;
  for (const MeterFinding& finding : SurveyEnergyMeters(env)) {
    json meter = {{"name", finding.name},
                  {"available", finding.available},
                  {"role", RoleText(finding.role)},
                  {finding.available ? "reads" : "reason", finding.detail}};
    if (finding.available) {
      meter["quality"] = EnergyQualityName(finding.quality);
      meter["scope"] = EnergyScopeName(finding.scope);
    }
    out["meters"].push_back(std::move(meter));
    table.push_back({finding.name, finding.available ? "yes" : "no",
                     finding.available ? EnergyQualityName(finding.quality) : "",
                     finding.available ? EnergyScopeName(finding.scope) : "",
                     RoleText(finding.role)});
    absl::StrAppend(&details, "  ", finding.name, finding.available ? " reads " : ": ",
                    finding.detail, "\n");
  }
  const absl::StatusOr<MeterChoice> choice = Choose(options, env);
  if (!choice.ok() && options.meter != "auto") return Fail(context, choice.status());
  const std::string chosen =
      choice.ok() ? choice->why : absl::StrCat("none: ", std::string(choice.status().message()));
  out["choice"] = chosen;
  if (context.json) {
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cout << TextTable(table) << "\n"
              << details << "\n--meter " << options.meter << " takes " << chosen << std::endl;
  }
  return kOk;
}

int WatchMeter(const Context& context, const MeterWatchOptions& options) {
  const absl::StatusOr<MeterChoice> choice =
      Choose(options.meter, MachineEnv(context, options.meter));
  if (!choice.ok()) return Fail(context, choice.status());
  EnergyMeter& meter = *choice->meter;
  const bool live = !context.json && isatty(STDOUT_FILENO) != 0;
  if (!context.json) std::cout << choice->why << std::endl;
  const int64_t until_us = options.for_s > 0
                               ? context.clock->MonotonicUs() + std::llround(options.for_s * 1e6)
                               : INT64_MAX;
  const int64_t interval_us = std::llround(options.interval_s * 1e6);
  Summary summary;
  while (!context.shutdown->requested()) {
    const int64_t left_us = until_us - context.clock->MonotonicUs();
    // What is left after whole intervals is too short to tell.
    if (left_us < (summary.windows == 0 ? 1 : interval_us / 2)) break;
    const int64_t wait_us = std::min(left_us, interval_us);
    const EnergyMeter::Window window = meter.Begin(Phase::kTrain);
    const bool stopped = context.shutdown->WaitFor(std::max<int64_t>(1, wait_us / 1000));
    const EnergySample sample = meter.End(window, 0);
    if (stopped) break;  // its last window is no interval
    summary.Add(sample);
    PrintFinding(context, sample, live);
  }
  if (live) std::cout << std::endl;
  PrintSummary(context, summary);
  return kOk;
}

int MeasureCommand(const Context& context, const MeterCommandOptions& options) {
  const absl::StatusOr<MeterChoice> choice =
      Choose(options.meter, CommandEnv(context, options.meter));
  if (!choice.ok()) return Fail(context, choice.status());
  const EnergyMeter::Window window = choice->meter->Begin(Phase::kTrain);
  absl::StatusOr<Subprocess> command = Subprocess::Spawn({.argv = options.command});
  if (!command.ok()) return Refuse(context, command.status());
  const absl::StatusOr<ExitStatus> ended = WaitForCommand(context, &*command);
  const EnergySample sample = choice->meter->End(window, 0);
  if (!ended.ok()) return Fail(context, ended.status());
  const int code = ended->signal != 0 ? kSignalBase + ended->signal : ended->code;
  json out = SampleJson(sample);
  out["exit_code"] = code;
  out["why"] = choice->why;
  if (context.json) {
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cerr << SampleText(sample);
  }
  if (!options.output.empty()) {
    const absl::Status written = WriteFileAtomic(options.output, out.dump(2) + "\n");
    if (!written.ok()) (void)Fail(context, written);  // the command's own code matters more
  }
  return code;
}

}  // namespace fedwatt::cli
