#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/energy/radio_model.h"
#include "simulation/attack.h"
#include "simulation/battery.h"
#include "simulation/on_off.h"

// The devices of a simulation, as people write them (docs/simulation.md). Everything that differs
// between two devices of a class is drawn from (seed, device).
namespace fedwatt {

struct DeviceClass {
  std::string name = "device";
  double share = 1;  // of the fleet, relative to the other classes'

  double gflops = 10;     // sustained while it trains
  double train_w = 5;     // of the whole device, above idle, while it works
  BatteryModel battery;   // default: mains
  double charge_min = 1;  // at the start, of the capacity; each device has its own
  double charge_max = 1;

  double down_mbps = 50;
  double up_mbps = 10;
  double latency_ms = 20;  // one way
  RadioLink radio = RadioLink::kWifi;

  std::string region;           // label "region"; grid of its joules
  std::string power_domain;     // label "power_domain", for selector fedzero
  double utc_offset_hours = 0;  // of its diurnal patterns
  uint64_t memory_bytes = uint64_t{1} << 30;
};

struct FleetModel {
  std::string name = "default";
  std::vector<DeviceClass> classes;
  bool in_order = false;  // the first devices are of the first class; else shuffled

  OnOff availability;  // the owner lets it work
  OnOff charging{.pattern = OnOffPattern::kNever};

  // What its owner's rules ask of a device on battery (client/sdk/condition_rules.h).
  double min_charge = 0;  // 0: no floor
  bool require_charging = false;
  double revive_charge = 0.05;  // a device that went off comes back with that charge
  int64_t condition_check_ms = 30'000;

  uint64_t examples_min = 200;  // of one device; uniformly
  uint64_t examples_max = 600;
  double work_scale = 1;  // of the operations that training takes (6 a parameter and example)

  double start_hour = 0;        // UTC, of the virtual day that the simulation begins on
  double arrivals_per_s = 100;  // first check-ins
  int64_t long_poll_ms = 600'000;

  double dropouts_per_hour = 0;  // of one device that works: killed, its connection lost
  double dropout_s = 300;        // mean time until it is back
  double misreporters = 0;       // share of devices that report joules times a factor
  double misreport_min = 0.1;    // of the factor, drawn for each of them
  double misreport_max = 0.1;
  double malicious = 0;  // share of devices
  Attack attack = Attack::kScale;
};

// Three mains-powered classes, always there. Labelled synthetic.
FleetModel DefaultFleet();

// TOML, or of a path that ends with ".csv" classes alone (fleet_csv.h). INVALID_ARGUMENT names
// file, line, key, value and limit; unknown keys are refused. Traces that it names are read,
// relative to its folder.
absl::StatusOr<FleetModel> LoadFleetModel(const std::string& path);
absl::StatusOr<FleetModel> ParseFleetModel(const std::string& text, const std::string& source,
                                           const std::string& folder);

// One device of it: what it was born with.
struct DeviceTraits {
  uint32_t class_index = 0;
  uint64_t examples = 0;
  double initial_charge = 1;  // of the capacity
  float claim_factor = 1;     // of the joules that it reports
  bool malicious = false;
};
DeviceTraits TraitsOf(const FleetModel& fleet, uint64_t seed, uint64_t device, uint64_t devices);

}  // namespace fedwatt
