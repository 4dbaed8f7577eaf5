#pragma once

#include <memory>
#include <string>

#include "common/energy/energy_meter.h"
#include "common/energy/energy_source.h"

namespace fedwatt {

struct SourceMeterSpec {
  std::string name;
  std::string description;
  EnergyScope scope = EnergyScope::kPackage;  // of what the source sees
  // Whether its energy may be shared out by CPU time: not a GPU's.
  bool by_cpu_share = true;
  bool idle_subtracted = false;  // already, by the source
  std::unique_ptr<EnergySource> source;
};

// The windows of a meter over one source.
//
// With env.cpu_time_us and env.machine_cpu_time_us the figure is this process's share
// (attribution.h): quality derived, scope process, the source's own total in machine_energy_uj.
// Else it is the source's: quality measured, scope spec.scope.
//
// The figure is of the part of the window that was seen (`coverage`); nothing is extrapolated.
// Unavailable, with the reason: less than half was seen, the source broke off (energy_source.h), it
// did not move at all, or the window is shorter than the time in which the hardware renews its
// figure.
//
// sigma is of resolution, edges (readings are up to one renewal old), sampling and the CPU share;
// not of the sensor's own calibration, which no reading can tell.
std::unique_ptr<EnergyMeter> MakeSourceMeter(SourceMeterSpec spec, const EnergyMeterEnv& env);

}  // namespace fedwatt
