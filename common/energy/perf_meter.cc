#include "common/energy/perf_meter.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/energy/counter_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

constexpr char kDir[] = "sys/bus/event_source/devices/power";
constexpr int64_t kUpdateUs = 1000;
constexpr double kMaxDomainWatts = 500;
constexpr int kMaxCpus = 1024;  // of a mask that lists one per package

// "0,18" or "0-1,64".
absl::StatusOr<std::vector<int>> ParseCpuList(const std::string& text) {
  std::vector<int> cpus;
  for (const auto& piece : absl::StrSplit(text, ',')) {
    const std::vector<std::string> ends = absl::StrSplit(piece, '-');
    int first = 0, last = 0;
    const bool good = (ends.size() == 1 || ends.size() == 2) && absl::SimpleAtoi(ends[0], &first) &&
                      absl::SimpleAtoi(ends.back(), &last) && first >= 0 && last >= first &&
                      last - first < kMaxCpus;
    if (!good) return absl::DataLossError(absl::StrCat("'", text, "' is not a list of processors"));
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

// "event=0x02".
absl::StatusOr<uint64_t> ParseConfig(const std::string& text) {
  const std::vector<std::string> sides = absl::StrSplit(text, '=');
  uint64_t config = 0;
  if (sides.size() != 2 || sides[0] != "event" || !absl::SimpleHexAtoi(sides[1], &config)) {
    return absl::DataLossError(absl::StrCat("'", text, "' is not an event=0xNN"));
  }
  return config;
}

struct EventKind {
  std::string name;  // "energy-pkg"
  uint64_t config = 0;
  double uj_per_count = 0;
};

// NOT_FOUND if the machine has no such event.
absl::StatusOr<EventKind> FindEvent(const SysfsTree& tree, const std::string& name) {
  const std::string path = absl::StrCat(kDir, "/events/", name);
  EventKind kind{.name = name};
  FW_ASSIGN_OR_RETURN(const std::string config, tree.Text(path));
  FW_ASSIGN_OR_RETURN(kind.config, ParseConfig(config));
  FW_ASSIGN_OR_RETURN(const std::string scale, tree.Text(path + ".scale"));
  double joules = 0;
  if (!absl::SimpleAtod(scale, &joules) || !(joules > 0) || !std::isfinite(joules)) {
    return absl::DataLossError(absl::StrCat(tree.Absolute(path), ".scale holds '", scale, "'"));
  }
  const absl::StatusOr<std::string> unit = tree.Text(path + ".unit");
  if (unit.ok() && *unit != "Joules") {
    return absl::DataLossError(
        absl::StrCat(tree.Absolute(path), " counts ", *unit, ", not Joules"));
  }
  kind.uj_per_count = joules * 1e6;
  return kind;
}

absl::StatusOr<std::vector<EventKind>> FindEvents(const SysfsTree& tree) {
  std::vector<EventKind> events;
  absl::StatusOr<EventKind> package = FindEvent(tree, "energy-pkg");
  if (!package.ok()) {
    absl::StatusOr<EventKind> psys = FindEvent(tree, "energy-psys");
    if (!psys.ok()) return package.status();
    events.push_back(*std::move(psys));
    return events;
  }
  events.push_back(*std::move(package));
  absl::StatusOr<EventKind> memory = FindEvent(tree, "energy-ram");
  if (memory.ok()) events.push_back(*std::move(memory));
  return events;
}

absl::StatusOr<EnergyCounter> OpenCounter(const PerfCounterOpener& open, const EventKind& kind,
                                          uint32_t type, int cpu) {
  FW_ASSIGN_OR_RETURN(std::unique_ptr<PerfCounter> opened,
                      open({.type = type, .config = kind.config, .cpu = cpu}));
  EnergyCounter counter;
  counter.label = absl::StrCat(kind.name, " on cpu ", cpu);
  counter.step_uj = kind.uj_per_count;
  counter.max_watts = kMaxDomainWatts;
  counter.read_uj = [perf = std::shared_ptr<PerfCounter>(std::move(opened)),
                     scale = kind.uj_per_count]() -> absl::StatusOr<double> {
    FW_ASSIGN_OR_RETURN(const uint64_t count, perf->Read());
    return static_cast<double>(count) * scale;
  };
  return counter;
}

absl::StatusOr<std::vector<EnergyCounter>> OpenCounters(const SysfsTree& tree,
                                                        const PerfCounterOpener& open) {
  FW_ASSIGN_OR_RETURN(const int64_t type, tree.Count(absl::StrCat(kDir, "/type")));
  FW_ASSIGN_OR_RETURN(const std::string mask, tree.Text(absl::StrCat(kDir, "/cpumask")));
  FW_ASSIGN_OR_RETURN(const std::vector<int> cpus, ParseCpuList(mask));
  FW_ASSIGN_OR_RETURN(const std::vector<EventKind> events, FindEvents(tree));
  std::vector<EnergyCounter> counters;
  for (const EventKind& kind : events) {
    for (const int cpu : cpus) {
      FW_ASSIGN_OR_RETURN(EnergyCounter counter,
                          OpenCounter(open, kind, static_cast<uint32_t>(type), cpu));
      counters.push_back(std::move(counter));
    }
  }
  return counters;
}

std::string Remedy(const SysfsTree& tree, const absl::Status& status) {
  if (!absl::IsPermissionDenied(status)) return "";
  const auto level = tree.Text("proc/sys/kernel/perf_event_paranoid");
  return absl::StrCat("; kernel.perf_event_paranoid is ", level.value_or("unknown"),
                      ": it takes 0 or less, or CAP_PERFMON");
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakePerfMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const SysfsTree tree(env.sysfs_root, env.read_file);
  absl::StatusOr<std::vector<EnergyCounter>> counters =
      OpenCounters(tree, env.open_perf ? env.open_perf : OpenPerfCounter);
  if (!counters.ok()) {
    return absl::UnavailableError(
        absl::StrCat(std::string(counters.status().message()), Remedy(tree, counters.status())));
  }
  SourceMeterSpec spec{.name = "perf", .scope = EnergyScope::kPackage};
  spec.description = absl::StrJoin(
      *counters, ", ",
      [](std::string* out, const EnergyCounter& counter) { out->append(counter.label); });
  spec.source = MakeCounterSource(*std::move(counters), kUpdateUs);
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
