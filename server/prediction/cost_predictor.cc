#include "server/prediction/cost_predictor.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "server/prediction/device_class.h"

namespace fedwatt {
namespace {

constexpr double kSigmaPerDeviation = 1.4826;
constexpr double kMinRelativeSigma = 0.05;
constexpr double kAssumedRelativeSigma = 1;
constexpr double kOwnFactor = 8;
constexpr double kFleetFactor = 64;
constexpr double kAssumedFactor = 1000;

double MedianOf(std::vector<double>* values) {
  const auto middle = values->begin() + static_cast<ptrdiff_t>(values->size() / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

double FactorOf(CostBasis basis) {
  switch (basis) {
    case CostBasis::kOwnHistory:
    case CostBasis::kDeviceClass:
      return kOwnFactor;
    case CostBasis::kFleet:
      return kFleetFactor;
    case CostBasis::kDefault:
      break;
  }
  return kAssumedFactor;
}

}  // namespace

double FlopsPerStep(uint64_t parameters, uint64_t batch_size) {
  return 6.0 * static_cast<double>(std::max<uint64_t>(parameters, 1)) *
         static_cast<double>(std::max<uint64_t>(batch_size, 1));
}

CostPredictor::Rates CostPredictor::Assumed(const std::string& device_class) const {
  const DeviceTraits& traits = TraitsOf(device_class);
  const double seconds = flops_per_unit_ / traits.flops;
  const double joules = seconds * traits.watts;
  return {{joules, kAssumedRelativeSigma * joules, CostBasis::kDefault},
          {seconds, kAssumedRelativeSigma * seconds, CostBasis::kDefault}};
}

void CostPredictor::Learn(std::span<const CostHistory* const> clients) {
  struct Seen {
    Rates assumed;
    std::vector<double> joules;
    std::vector<double> seconds;
  };
  const auto summarize = [](std::vector<double>* rates, CostBasis basis) {
    Rate rate;
    if (rates->empty()) return rate;
    rate.mean = MedianOf(rates);
    for (double& value : *rates) value = std::abs(value - rate.mean);
    const double spread = kSigmaPerDeviation * MedianOf(rates);
    // Few clients say little of those to come.
    const double doubt = rate.mean / std::sqrt(static_cast<double>(rates->size()));
    rate.sigma = std::max({spread, doubt, kMinRelativeSigma * rate.mean});
    rate.basis = basis;
    rate.clients = rates->size();
    return rate;
  };
  std::map<std::string_view, Seen> seen;
  auto at = seen.end();  // neighbours are often of one class
  Seen relative;
  for (const CostHistory* const client : clients) {
    if (at == seen.end() || at->first != client->device_class) {
      at = seen.find(client->device_class);
      if (at == seen.end()) {
        at = seen.emplace(client->device_class, Seen{Assumed(client->device_class), {}, {}}).first;
      }
    }
    Seen& of_class = at->second;
    if (client->joules.size() > 0) {
      of_class.joules.push_back(client->joules.Median());
      relative.joules.push_back(of_class.joules.back() / of_class.assumed.joules.mean);
    }
    if (client->seconds.size() > 0) {
      of_class.seconds.push_back(client->seconds.Median());
      relative.seconds.push_back(of_class.seconds.back() / of_class.assumed.seconds.mean);
    }
  }
  classes_.clear();
  for (auto& [name, rates] : seen) {
    classes_[std::string(name)] = {summarize(&rates.joules, CostBasis::kDeviceClass),
                                   summarize(&rates.seconds, CostBasis::kDeviceClass)};
  }
  fleet_ = {summarize(&relative.joules, CostBasis::kFleet),
            summarize(&relative.seconds, CostBasis::kFleet)};
}

CostPredictor::Rates CostPredictor::ClassRates(const std::string& device_class) const {
  Rates rates = Assumed(device_class);
  const auto scale = [](const Rate& fleet, Rate* rate) {
    if (fleet.basis != CostBasis::kFleet) return;
    *rate = {rate->mean * fleet.mean, rate->mean * (fleet.mean + fleet.sigma), CostBasis::kFleet,
             fleet.clients};
  };
  scale(fleet_.joules, &rates.joules);
  scale(fleet_.seconds, &rates.seconds);
  const auto known = classes_.find(device_class);
  if (known == classes_.end()) return rates;
  if (known->second.joules.basis == CostBasis::kDeviceClass) rates.joules = known->second.joules;
  if (known->second.seconds.basis == CostBasis::kDeviceClass) rates.seconds = known->second.seconds;
  return rates;
}

CostPrediction CostPredictor::Predict(const std::string& device_class, const CostHistory* history,
                                      double units) const {
  Rates rates = ClassRates(device_class);
  const auto mix = [](const RecentRates& own, Rate* rate) {
    if (own.size() == 0) return;
    const auto n = static_cast<double>(own.size());
    const double factor = FactorOf(rate->basis);
    const double mean = std::clamp(own.Median(), rate->mean / factor, rate->mean * factor);
    const double spread = std::max(own.Sigma(), kMinRelativeSigma * mean);
    // What an assumption is worth is little: it does not pull a figure that was reported.
    const double pull = rate->basis == CostBasis::kDefault ? 0 : 1;
    const double mixed = (pull * rate->mean + n * mean) / (pull + n);
    const double doubt = rate->sigma / (1 + n);
    *rate = {mixed, std::sqrt(spread * spread + doubt * doubt), CostBasis::kOwnHistory,
             rate->clients};
  };
  if (history != nullptr) {
    mix(history->joules, &rates.joules);
    mix(history->seconds, &rates.seconds);
  }
  return {units * rates.joules.mean, units * rates.joules.sigma, units * rates.seconds.mean,
          units * rates.seconds.sigma, rates.joules.basis};
}

double CostPredictor::FloorJoules(const std::string& device_class, double units) const {
  const double assumed = Assumed(device_class).joules.mean / kOwnFactor;
  const Rate rate = ClassRates(device_class).joules;
  if (rate.clients < kWitnesses) return units * assumed;
  return units * std::max(assumed, rate.mean / FactorOf(rate.basis));
}

double CostPredictor::CeilingJoules(const std::string& device_class, double units) const {
  const Rate rate = ClassRates(device_class).joules;
  return rate.clients < kWitnesses ? 0 : units * rate.mean * FactorOf(rate.basis);
}

}  // namespace fedwatt
