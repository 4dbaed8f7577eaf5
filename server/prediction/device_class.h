#pragma once

#include <array>
#include <string>

#include "server/prediction/cost_history.h"

// What is assumed of a device of which only the class is known. Round figures, good to a factor of
// two or three, and replaced by what the fleet reports as soon as it does.
namespace fedwatt {

struct DeviceTraits {
  const char* prefix;  // of the class names that it is for
  double watts;        // of the whole device while training
  double flops;        // floating-point operations a second, of training small models
  std::array<ScopeFactor, 4> to_device;  // by EnergyScope, process first
};

// By the longest prefix; those of any device when none fits.
const DeviceTraits& TraitsOf(const std::string& device_class);

// What no device of that class draws, ten times its usual; of a class that nobody knows, what no
// rack draws. A bound of physics: it holds before anything was reported.
double PeakWatts(const std::string& device_class);

}  // namespace fedwatt
