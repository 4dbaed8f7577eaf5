#pragma once

// What one assignment will cost a client, as far as one can tell (cost_predictor.h).
namespace fedwatt {

// Where a prediction comes from, best first.
enum class CostBasis { kOwnHistory = 1, kDeviceClass, kFleet, kDefault };

// Of the whole device, whatever its meter covers. Sigmas are one standard deviation.
struct CostPrediction {
  double joules = 0;
  double joules_sigma = 0;
  double seconds = 0;
  double seconds_sigma = 0;
  CostBasis basis = CostBasis::kDefault;
};

}  // namespace fedwatt
