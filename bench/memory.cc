#include "bench/memory.h"

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/model/job_spec.h"
#include "server/app/coordinator_config.h"

namespace fedwatt::bench {
namespace {

constexpr char kGroup[] = "the coordinator's memory, 1e6 parameters, default codecs";
constexpr double kMebibyte = 1 << 20;

// The first model is all zeros and takes few bytes. The second travels as a step, as do those after
// it: three rounds are the first with two full ones behind it.
FleetCase CaseOf(int clients) {
  const JobSpec::CodecChoice defaults;
  FleetCase c;
  c.parameters = 1'000'000;
  c.clients = clients;
  c.warm_up = 1;
  c.rounds = 2;
  c.codec_up = defaults.up;
  c.codec_down = defaults.down;
  return c;
}

}  // namespace

absl::Status RunMemory(const FleetPrograms& programs, const Clock& clock, Interrupt* interrupt,
                       Table* table) {
  const double budget_mib =
      static_cast<double>(server::CoordinatorConfig{}.inflight_bytes) / kMebibyte;
  double peaks_mib[2] = {};
  constexpr int kClients[2] = {10, 1000};
  for (int i = 0; i < 2; ++i) {
    const std::string name = absl::StrCat("peak with ", kClients[i], " clients");
    std::fprintf(stderr, "== %s\n", name.c_str());
    const auto measured = RunFleet(programs, CaseOf(kClients[i]), clock, interrupt);
    FW_RETURN_IF_ERROR(Annotate(measured.status(), name));
    peaks_mib[i] = measured->peak_mib;
    table->Add({.group = kGroup, .name = name, .value = peaks_mib[i], .unit = "MiB"});
    table->Add({.group = kGroup,
                .name = absl::StrCat("seconds a round with ", kClients[i], " clients"),
                .value = measured->seconds,
                .unit = "s"});
  }
  table->Add({.group = kGroup,
              .name = "the difference",
              .value = peaks_mib[1] - peaks_mib[0],
              .unit = "MiB",
              .floor = budget_mib,
              .floor_name = "budget in flight",
              .target = Target{Target::Kind::kRatioAtMost, 1}});
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
