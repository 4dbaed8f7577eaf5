#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/cli/report_data.h"

// What it would have cost to send the devices' data to a data centre once and to train there: an
// estimate by assumptions, each of which is a flag of `fedwatt report` and shown beside the result.
//
//   central compute  = useful training joules of the devices x compute ratio x PUE
//   central network  = devices x examples x bytes per example x (network + radio) joules per byte
//   federated network = bytes up and down x the same (without radio where devices reported theirs)
//
// Devices' joules carry their own kind; what is by assumption stays apart from them, so there is a
// figure for compute and one for the network, and no sum. Pure functions.
namespace fedwatt::cli {

struct CentralAssumptions {
  double bytes_per_example = 1000;
  double examples_per_device = 0;  // 0: as evaluated on clients where all were, else 1,000
  uint64_t devices = 0;            // 0: those that reported, else the greatest round's
  std::string link = "wifi";       // "ethernet", "wifi", "lte", "3g": the radio of the devices
  // Core and fixed access networks: 0.06 kWh/GB in 2015, half of it every two years (Aslan et al.,
  // J. Industrial Ecology 22(4), 2018), taken to 2020: 0.0106 kWh/GB. Base stations are not in it.
  double network_j_per_byte = 38e-6;
  double pue = 1.56;         // of data centres in the mean (Uptime Institute's survey of 2024)
  double compute_ratio = 1;  // joules of a server for what takes a device 1 J
};

// INVALID_ARGUMENT names the flag, the value and what is allowed.
absl::Status CheckAssumptions(const CentralAssumptions& assumptions);

// Joules that a device's radio needs for a byte sent at its link's usual rate, by the power model
// of Huang et al. (MobiSys 2012), without promotion and tail.
double RadioJoulesPerByte(const std::string& link);

struct CentralEstimate {
  struct Compute {
    EnergyKind kind;
    double federated_j = 0;  // all phases, useful and wasted: what was really spent
    double training_j = 0;   // of these: what central training repeats
    bool by_phase = false;   // false: training_j is of all phases, for want of sums by phase
    double central_j = 0;
  };
  std::vector<Compute> compute;  // per kind of the devices
  double upload_bytes = 0;       // the data
  double central_network_j = 0;
  double federated_bytes = 0;  // updates and models
  double federated_network_j = 0;
  std::vector<std::string> assumptions;  // sentences, each with its flag
};
CentralEstimate EstimateCentral(const ReportData& report, const CentralAssumptions& assumptions);

}  // namespace fedwatt::cli
