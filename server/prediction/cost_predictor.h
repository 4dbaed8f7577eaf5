#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

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

struct CheckedClaim {
  std::optional<double> joules;    // believed; empty: the claim had none, or one that cannot be
  std::optional<double> seconds;   // likewise
  std::vector<std::string> flags;  // what was not believed, and why
};

class CostPredictor {
 public:
  explicit CostPredictor(double flops_per_unit) : flops_per_unit_(flops_per_unit) {}

  // Replaces what was known of classes and fleet.
  void Learn(std::span<const CostHistory* const> clients);

  // `history`: null for a newcomer. `units`: at least 1.
  CostPrediction Predict(const std::string& device_class, const CostHistory* history,
                         double units) const;

  // A claim against class, history and physics. Seconds: not more than `elapsed_s`, if that is
  // known. Joules: not more than ten times the class's power allows in these seconds; not further
  // from the prediction than a factor of 8 (by own history or class), 64 (fleet) or 1000
  // (assumption). What lies outside is flagged and put on the limit; what is no figure (negative,
  // NaN) is flagged and dropped.
  CheckedClaim Check(const std::string& device_class, const CostHistory* history,
                     const CostClaim& claim, std::optional<double> elapsed_s) const;

  // The least that a device of that class is believed to use: the class's rate - 2 sigma, not
  // below an eighth of it.
  double FloorJoules(const std::string& device_class, double units) const;
  // The most: what Check puts a claim of it on.
  double CeilingJoules(const std::string& device_class, double units) const;

 private:
  struct Rate {
    double mean = 0;
    double sigma = 0;
    CostBasis basis = CostBasis::kDefault;
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
