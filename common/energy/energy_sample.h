#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// One reading of one meter over one phase of one assignment. Unavailable is not zero: without a
// figure `energy_uj` is empty, never 0.
namespace fedwatt {

enum class EnergyQuality { kMeasured = 1, kDerived, kEstimated, kSimulated, kUnavailable };
enum class EnergyScope { kProcess = 1, kPackage, kBoard, kDevice };
enum class Phase { kDownload = 1, kTrain, kEncode, kUpload, kEvaluate };

const char* EnergyQualityName(EnergyQuality quality);  // "measured", ...
const char* EnergyScopeName(EnergyScope scope);
const char* PhaseName(Phase phase);

struct EnergySample {
  std::string source;  // which meter, e.g. "rapl"
  EnergyQuality quality = EnergyQuality::kUnavailable;
  EnergyScope scope = EnergyScope::kProcess;
  Phase phase = Phase::kTrain;
  std::optional<int64_t> energy_uj;  // microjoules
  std::optional<int64_t> sigma_uj;   // one standard deviation
  bool idle_subtracted = false;
  double coverage = 0;  // share of the window the meter saw, 0..1
  int64_t duration_us = 0;
  uint64_t bytes = 0;  // moved during the phase
  std::optional<int64_t>
      machine_energy_uj;  // the whole machine's, where energy_uj is a share of it
  std::string reason;     // why there is no figure, where there is none

  // What other sources say of the same window (a GPU's counter, the radio's model). Side by side,
  // never added to `energy_uj`: they may cover each other. Their own `beside` are empty.
  std::vector<EnergySample> beside;
};

}  // namespace fedwatt
