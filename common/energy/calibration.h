#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/energy/energy_meter_env.h"

// What `fedwatt meter calibrate` finds out about one host with a real meter, so that the estimate
// is better than a guess where that meter cannot be read, and idle energy can be told apart.
namespace fedwatt {

struct EnergyCalibration {
  std::string cpu;     // the processor it was fitted on, as /proc/cpuinfo names it
  std::string source;  // the meter it was fitted against
  double watts_per_busy_core = 0;
  double relative_sigma = 0;  // of that
  double idle_watts = 0;      // of what the meter sees
};

// Where it lies unless a flag says otherwise: $FEDWATT_CALIBRATION, else
// $XDG_CONFIG_HOME/fedwatt/calibration, else $HOME/.config/fedwatt/calibration, else
// /etc/fedwatt/calibration.
std::string DefaultCalibrationPath();

// Lines `key = value`; # begins a comment. Unknown keys, a missing one, and figures that cannot be
// are INVALID_ARGUMENT with the line.
absl::StatusOr<EnergyCalibration> ParseCalibration(const std::string& text);
std::string FormatCalibration(const EnergyCalibration& calibration);

// NOT_FOUND if there is none.
absl::StatusOr<EnergyCalibration> LoadCalibration(const std::string& path);

// "Intel(R) Core(TM) i7-1185G7", or "unknown".
std::string ProcessorName(const SysfsTree& tree);

// FAILED_PRECONDITION if it was fitted on another processor: a copied home folder, an image.
absl::Status ApplyCalibration(const EnergyCalibration& calibration, EnergyMeterEnv* env);

// One stretch of a calibration run.
struct LoadPoint {
  double busy_cores = 0;  // CPU seconds per second, of all processes
  double watts = 0;       // that the meter saw
};

// The line watts = idle_watts + watts_per_busy_core * busy_cores by least squares, and the relative
// deviation of its slope (at least 2 %). FAILED_PRECONDITION where the points do not tell: fewer
// than three, no difference in load, or a meter that does not follow it (slope not above 0 by two
// deviations).
absl::StatusOr<EnergyCalibration> FitCalibration(const std::vector<LoadPoint>& points);

}  // namespace fedwatt
