#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/model/job_view.h"

// What a round's accepted reports say together. Sums run in the order of the assignments, so that
// their last bits do not depend on the order of arrival.
namespace fedwatt {

// Of reports whose metrics are usable (update_check.h).
class RoundMetrics {
 public:
  void Add(const Report& report);
  // A report that does not count: its bytes and joules were spent all the same.
  void AddWasted(const Report& report);

  // Fills bytes, energy, losses, seconds; as an evaluation's when `evaluation`.
  void FillSummary(bool evaluation, RoundSummary* summary) const;

 private:
  struct Losses {
    LossSums sums;
    void Add(const std::optional<LossSums>& losses);
    void Fill(MetricSummary* out) const;
  };
  struct WeightedMean {
    double sum = 0;
    double weight = 0;
  };
  void AddBytes(const Report& report);

  uint64_t bytes_down_ = 0;
  uint64_t bytes_up_ = 0;
  Losses before_;
  Losses after_;
  std::map<std::string, WeightedMean> named_;
  std::map<std::string, double> seconds_;
  std::vector<EnergyTotal> energy_;
};

}  // namespace fedwatt
