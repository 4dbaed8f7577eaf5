#include "server/cli/report_central.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"

namespace fedwatt::cli {
namespace {

struct Link {
  const char* name;
  double mw_per_mbps;  // while sending
  double base_mw;
  double mbps;
};

// Rates are usual ones for the link; ethernet has no radio.
constexpr Link kLinks[] = {{"ethernet", 0, 0, 100},
                           {"wifi", 283.17, 132.86, 20},
                           {"lte", 438.39, 1288.04, 5},
                           {"3g", 868.98, 817.88, 1}};
constexpr double kExamplesAssumed = 1000;

const Link* FindLink(const std::string& name) {
  for (const Link& link : kLinks) {
    if (name == link.name) return &link;
  }
  return nullptr;
}

absl::Status CheckNumber(const char* flag, double value, double least) {
  if (std::isfinite(value) && value >= least && value <= 1e15) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s = %g: expected a number from %g to 1e15", flag, value, least));
}

uint64_t GreatestRound(const v1::Job& job) {
  uint64_t most = 0;
  for (const v1::RoundSummary& round : job.rounds()) {
    most = std::max<uint64_t>(most, round.assigned());
  }
  return most;
}

// Only where clients evaluate all their examples is their number known.
std::optional<double> ExamplesSeen(const v1::Job& job) {
  if (job.spec().plan().local_evaluation_examples() != 0) return std::nullopt;
  std::optional<double> most;
  for (const v1::RoundSummary& round : job.rounds()) {
    const uint64_t examples =
        std::max(round.train_after().examples(), round.train_before().examples());
    if (examples == 0 || round.reported() == 0) continue;
    const double mean = static_cast<double>(examples) / round.reported();
    most = std::max(most.value_or(0), mean);
  }
  return most;
}

struct Sized {
  double value;
  std::string origin;
};

Sized DevicesOf(const ReportData& report, const CentralAssumptions& assumptions) {
  if (assumptions.devices > 0) return {static_cast<double>(assumptions.devices), "given"};
  if (report.devices > 0) return {static_cast<double>(report.devices), "that reported joules"};
  return {static_cast<double>(GreatestRound(report.job)), "of the largest round"};
}

Sized ExamplesOf(const ReportData& report, const CentralAssumptions& assumptions) {
  if (assumptions.examples_per_device > 0) return {assumptions.examples_per_device, "given"};
  if (const auto seen = ExamplesSeen(report.job)) return {*seen, "as clients evaluated"};
  return {kExamplesAssumed, "assumed; nobody has told"};
}

CentralEstimate::Compute ComputeOf(const KindFigures& figures, const ReportData& report,
                                   const CentralAssumptions& assumptions) {
  CentralEstimate::Compute compute{.kind = figures.kind,
                                   .federated_j = figures.total.joules(),
                                   .training_j = figures.total.useful_j,
                                   .by_phase = report.has_phases};
  if (report.has_phases) {
    const auto train = figures.phases.find(v1::PHASE_TRAIN);
    compute.training_j = train == figures.phases.end() ? 0 : train->second.useful_j;
  }
  compute.central_j = compute.training_j * assumptions.compute_ratio * assumptions.pue;
  return compute;
}

}  // namespace

absl::Status CheckAssumptions(const CentralAssumptions& assumptions) {
  if (FindLink(assumptions.link) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("--central-link = \"", assumptions.link,
                                                   "\": expected ethernet, wifi, lte or 3g"));
  }
  absl::Status status =
      CheckNumber("--central-bytes-per-example", assumptions.bytes_per_example, 0);
  status.Update(CheckNumber("--central-examples-per-device", assumptions.examples_per_device, 0));
  status.Update(CheckNumber("--central-network-j-per-byte", assumptions.network_j_per_byte, 0));
  status.Update(CheckNumber("--central-pue", assumptions.pue, 1));
  status.Update(CheckNumber("--central-compute-ratio", assumptions.compute_ratio, 0));
  return status;
}

double RadioJoulesPerByte(const std::string& link) {
  const Link* found = FindLink(link);
  if (found == nullptr) return 0;
  const double watts = (found->mw_per_mbps * found->mbps + found->base_mw) * 1e-3;
  const double bytes_per_s = found->mbps * 1e6 / 8;
  return watts / bytes_per_s;
}

CentralEstimate EstimateCentral(const ReportData& report, const CentralAssumptions& assumptions) {
  CentralEstimate estimate;
  bool radio_reported = false;
  for (const KindFigures& figures : report.kinds) {
    if (figures.kind.party != "clients") continue;
    if (figures.kind.source == "radio") {
      radio_reported = true;
      continue;  // it trains nothing
    }
    estimate.compute.push_back(ComputeOf(figures, report, assumptions));
  }
  const Sized devices = DevicesOf(report, assumptions);
  const Sized examples = ExamplesOf(report, assumptions);
  const double radio = RadioJoulesPerByte(assumptions.link);
  const double network = assumptions.network_j_per_byte;
  estimate.upload_bytes = devices.value * examples.value * assumptions.bytes_per_example;
  estimate.central_network_j = estimate.upload_bytes * (network + radio);
  estimate.federated_bytes =
      static_cast<double>(report.job.bytes_up()) + static_cast<double>(report.job.bytes_down());
  estimate.federated_network_j =
      estimate.federated_bytes * (network + (radio_reported ? 0 : radio));

  const bool by_phase = report.has_phases;
  estimate.assumptions = {
      absl::StrFormat("%g devices (%s; --central-devices) with %g examples each (%s; "
                      "--central-examples-per-device) of %g bytes (--central-bytes-per-example) "
                      "send their data once: %s.",
                      devices.value, devices.origin, examples.value, examples.origin,
                      assumptions.bytes_per_example,
                      HumanBytes(static_cast<uint64_t>(std::min(estimate.upload_bytes, 1e18)))),
      absl::StrFormat(
          "A byte costs %g microjoules in core and fixed networks "
          "(--central-network-j-per-byte; base stations are not in it) and %.3g in the "
          "device's radio (--central-link %s), in both ways of training%s.",
          network * 1e6, radio * 1e6, assumptions.link,
          radio_reported ? "; federated, the radio is in the devices' own figures" : ""),
      absl::StrFormat("A server needs %g J for what takes a device 1 J (--central-compute-ratio), "
                      "and its data centre %g J for each (PUE; --central-pue).",
                      assumptions.compute_ratio, assumptions.pue),
      absl::StrCat("Central training repeats the devices' useful joules ",
                   by_phase ? "of the phase train" : "of all phases, for want of sums by phase",
                   "; wasted work is not repeated, and rounds to the same accuracy may be fewer."),
  };
  return estimate;
}

}  // namespace fedwatt::cli
