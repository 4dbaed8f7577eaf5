#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "server/prediction/cost_history.h"
#include "server/prediction/cost_prediction.h"

// Joules and seconds of work that has not been done yet.
//
// A client's own recent rates are mixed with what its device class usually takes, which counts as
// one more report. The class is the median over its clients, each counting once, so that neither a
// busy nor a lying client moves it. A class without reports takes the fleet's: the median over all
// clients of their rate relative to what is assumed of their class. Without any report there is
// only the assumption (device_class.h).
//
// A function of the histories alone: after a restart it predicts the same. Holds no client's name.
// Learn, then the others, which are const.
//
//   CostPredictor predictor(flops_per_unit);
//   predictor.Learn(histories);
//   predictor.Predict(device_class, &history, units);
namespace fedwatt {

// 6 operations a parameter and example: forward 2, backward 4. Too few for convolutions, which use
// a weight many times; the fleet's first reports correct it.
double FlopsPerStep(uint64_t parameters, uint64_t batch_size);

class CostPredictor {
 public:
  explicit CostPredictor(double flops_per_unit) : flops_per_unit_(flops_per_unit) {}

  // Replaces what was known of classes and fleet.
  void Learn(std::span<const CostHistory* const> clients);

  // `history`: null for a newcomer. `units`: at least 1.
  CostPrediction Predict(const std::string& device_class, const CostHistory* history,
                         double units) const;

  // The least that a device of that class is believed to use: an eighth of what is assumed of it or
  // is usual of it, whichever is more (by the fleet: a 64th). What is learnt was put on this floor
  // itself: closer to the usual it would drive itself up. The most: 8 or 64 times of it; 0 before
  // there are reports, for what is assumed counts no work besides training. Fewer than kWitnesses
  // clients say nothing: nobody sets the bounds by which it is judged.
  double FloorJoules(const std::string& device_class, double units) const;
  double CeilingJoules(const std::string& device_class, double units) const;
  static constexpr size_t kWitnesses = 3;

 private:
  struct Rate {
    double mean = 0;
    double sigma = 0;
    CostBasis basis = CostBasis::kDefault;
    size_t clients = 0;  // that reported it
  };
  struct Rates {
    Rate joules;
    Rate seconds;
  };

  Rates Assumed(const std::string& device_class) const;
  Rates ClassRates(const std::string& device_class) const;

  const double flops_per_unit_;
  std::map<std::string, Rates> classes_;  // sigma 0 and basis kDefault: no report of that kind
  Rates fleet_;                           // relative to Assumed
};

}  // namespace fedwatt
