#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/energy/energy_sample.h"
#include "common/model/fleet.h"

// What one client's work has cost so far, per unit of work. A unit is one training step, that is
// plan.batch_size examples: over a job, examples x epochs = steps x batch_size.
//
// Joules are those of the whole device. Meters see less: what a process, a package or a board used
// is multiplied by a factor of the device class, whose doubt goes into the claim's sigma. Else the
// client with the narrowest meter would look like the cheapest. Pure; one thread at a time.
namespace fedwatt {

// The last seven rates, and what they agree on: three of seven may be anything.
class RecentRates {
 public:
  static constexpr size_t kKept = 7;

  RecentRates() = default;
  // What values() gave; beyond kKept only the newest.
  explicit RecentRates(std::span<const float> values);

  void Add(double rate);  // ignored unless finite and not negative
  size_t size() const { return size_; }
  double Median() const;              // 0 when empty
  double Sigma() const;               // 1.4826 times the median absolute deviation from the median
  std::vector<float> values() const;  // oldest first
  bool operator==(const RecentRates& other) const { return values() == other.values(); }

 private:
  std::array<float, kKept> rates_{};  // a ring, the oldest at next_ once it is full
  size_t size_ = 0;
  size_t next_ = 0;
};

struct CostHistory {
  std::string device_class;
  RecentRates joules;   // per unit
  RecentRates seconds;  // per unit
  double units = 0;     // of the last report
  bool operator==(const CostHistory&) const = default;
};

// What one report says it cost.
struct CostClaim {
  double units = 1;
  std::optional<double> joules;  // of the device, over all phases; empty: training was not metered
  double joules_sigma = 0;
  std::optional<double> seconds;
};

struct ScopeFactor {
  double factor;
  double sigma;
};

// Device joules per joule of that scope. The figures are round ones, estimated, from what packages
// and boards draw of the whole; a device scope is 1.
ScopeFactor FactorToDevice(const std::string& device_class, EnergyScope scope);

// Each phase counts once, by the best figure that it has: widest scope, then best quality, then
// order. Sources that cover each other are never added. A figure of a window that its meter saw in
// part is scaled up; below half it is none. What was extrapolated (an upload) counts as it is.
CostClaim CostClaimOf(const UpdateMetrics& metrics, const std::vector<EnergySample>& energy,
                      const std::string& device_class);

void AddClaim(const CostClaim& claim, CostHistory* history);

}  // namespace fedwatt
