#include "common/energy/rapl_meter.h"

#include <map>
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/energy/counter_source.h"
#include "common/energy/source_meter.h"

namespace fedwatt {
namespace {

constexpr char kDir[] = "sys/class/powercap";
// The hardware adds to its counters about every millisecond.
constexpr int64_t kUpdateUs = 1000;
// One package or its memory; the largest of today are specified at 500 W.
constexpr double kMaxDomainWatts = 500;
constexpr double kStepUj = 61;  // 2^-14 J, the usual unit

struct Domain {
  std::string id;    // "intel-rapl:0"
  std::string name;  // "package-0"
};

// Top-level domains by name, twins behind each other; dram by its parent's id.
struct Domains {
  std::map<std::string, std::vector<Domain>> top;
  std::map<std::string, Domain> dram;
};

absl::StatusOr<Domains> FindDomains(const SysfsTree& tree) {
  static const std::regex kId("(intel-rapl(?:-mmio)?:[0-9a-fA-F]+)(:[0-9a-fA-F]+)?");
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> entries, tree.List(kDir));
  Domains found;
  // "intel-rapl-mmio:0" sorts before "intel-rapl:0": take the registers that every kernel has
  // first.
  for (const bool mmio : {false, true}) {
    for (const std::string& id : entries) {
      std::smatch match;
      if (!std::regex_match(id, match, kId)) continue;
      if ((id.find("-mmio:") != std::string::npos) != mmio) continue;
      FW_ASSIGN_OR_RETURN(std::string name, tree.Text(absl::StrCat(kDir, "/", id, "/name")));
      if (!match[2].matched) {
        found.top[name].push_back({id, name});
      } else if (name == "dram") {
        found.dram[match[1].str()] = {id, name};
      }
    }
  }
  return found;
}

// UNAVAILABLE if it cannot be read now.
absl::StatusOr<EnergyCounter> OpenCounter(const SysfsTree& tree, const Domain& domain) {
  const std::string dir = absl::StrCat(kDir, "/", domain.id);
  const std::string path = dir + "/energy_uj";
  FW_RETURN_IF_ERROR(tree.Count(path).status());
  EnergyCounter counter;
  counter.label = absl::StrCat(domain.id, " ", domain.name);
  counter.read_uj = [tree, path]() -> absl::StatusOr<double> {
    FW_ASSIGN_OR_RETURN(const int64_t value, tree.Count(path));
    return static_cast<double>(value);
  };
  counter.range_uj = static_cast<double>(tree.Count(dir + "/max_energy_range_uj").value_or(0));
  counter.step_uj = kStepUj;
  counter.max_watts = kMaxDomainWatts;
  return counter;
}

// Of one domain and its twins: the first that can be read, with the dram of its package.
absl::Status TakeDomain(const SysfsTree& tree, const Domains& found,
                        const std::vector<Domain>& twins, std::vector<EnergyCounter>* counters) {
  absl::Status first_error;
  for (const Domain& domain : twins) {
    absl::StatusOr<EnergyCounter> counter = OpenCounter(tree, domain);
    if (!counter.ok()) {
      first_error.Update(counter.status());
      continue;
    }
    counters->push_back(*std::move(counter));
    for (const Domain& twin : twins) {
      const auto dram = found.dram.find(twin.id);
      if (dram == found.dram.end()) continue;
      absl::StatusOr<EnergyCounter> memory = OpenCounter(tree, dram->second);
      if (!memory.ok()) continue;  // some machines list it and refuse to read it
      counters->push_back(*std::move(memory));
      break;
    }
    return absl::OkStatus();
  }
  return first_error;
}

absl::StatusOr<std::vector<EnergyCounter>> ChooseCounters(const SysfsTree& tree) {
  FW_ASSIGN_OR_RETURN(const Domains found, FindDomains(tree));
  std::vector<EnergyCounter> counters;
  for (const auto& [name, twins] : found.top) {
    if (name.rfind("package", 0) != 0) continue;
    FW_RETURN_IF_ERROR(TakeDomain(tree, found, twins, &counters));
  }
  const auto psys = found.top.find("psys");
  if (counters.empty() && psys != found.top.end()) {
    FW_RETURN_IF_ERROR(TakeDomain(tree, found, psys->second, &counters));
  }
  if (counters.empty()) {
    return absl::NotFoundError(
        absl::StrCat(tree.Absolute(kDir), " has no package (a virtual machine rarely has)"));
  }
  return counters;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRaplMeter(const EnergyMeterEnv& env) {
  if (env.clock == nullptr) return absl::UnavailableError("no clock was given");
  const SysfsTree tree(env.sysfs_root, env.read_file);
  absl::StatusOr<std::vector<EnergyCounter>> counters = ChooseCounters(tree);
  if (!counters.ok()) {
    const char* const remedy =
        absl::IsPermissionDenied(counters.status())
            ? "; as root: chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
            : "";
    return absl::UnavailableError(absl::StrCat(std::string(counters.status().message()), remedy));
  }
  SourceMeterSpec spec{.name = "rapl", .scope = EnergyScope::kPackage};
  spec.description = absl::StrJoin(
      *counters, ", ",
      [](std::string* out, const EnergyCounter& counter) { out->append(counter.label); });
  spec.source = MakeCounterSource(*std::move(counters), kUpdateUs);
  return MakeSourceMeter(std::move(spec), env);
}

}  // namespace fedwatt
