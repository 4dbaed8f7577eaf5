#include "server/prediction/cost_predictor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/prediction/device_class.h"

namespace fedwatt {
namespace {

constexpr double kSigmaPerDeviation = 1.4826;
constexpr double kMinRelativeSigma = 0.05;
constexpr double kAssumedRelativeSigma = 1;
constexpr double kOwnFactor = 8;
constexpr double kFleetFactor = 64;
constexpr double kAssumedFactor = 1000;
constexpr double kPeakPower = 10;  // of the class's usual

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

// Empty when it is no figure.
std::optional<double> Figure(const char* name, const std::optional<double>& claimed,
                             std::vector<std::string>* flags) {
  if (!claimed) return std::nullopt;
  if (std::isfinite(*claimed) && *claimed >= 0) return claimed;
  flags->push_back(absl::StrCat(name, " = ", *claimed, ": no such figure; not counted"));
  return std::nullopt;
}

void Bound(const char* name, double least, double most, const std::string& why,
           std::optional<double>* value, std::vector<std::string>* flags) {
  if (!*value) return;
  const double bounded = std::clamp(**value, least, most);
  if (bounded == **value) return;
  flags->push_back(absl::StrCat(name, " = ", **value, ": ", why, "; taken for ", bounded));
  *value = bounded;
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
    return rate;
  };
  std::map<std::string, Seen> seen;
  Seen relative;
  for (const CostHistory* const client : clients) {
    Seen& of_class = seen[client->device_class];
    const Rates assumed = Assumed(client->device_class);
    if (client->joules.size() > 0) {
      of_class.joules.push_back(client->joules.Median());
      relative.joules.push_back(of_class.joules.back() / assumed.joules.mean);
    }
    if (client->seconds.size() > 0) {
      of_class.seconds.push_back(client->seconds.Median());
      relative.seconds.push_back(of_class.seconds.back() / assumed.seconds.mean);
    }
  }
  classes_.clear();
  for (auto& [name, rates] : seen) {
    classes_[name] = {summarize(&rates.joules, CostBasis::kDeviceClass),
                      summarize(&rates.seconds, CostBasis::kDeviceClass)};
  }
  fleet_ = {summarize(&relative.joules, CostBasis::kFleet),
            summarize(&relative.seconds, CostBasis::kFleet)};
}

CostPredictor::Rates CostPredictor::ClassRates(const std::string& device_class) const {
  Rates rates = Assumed(device_class);
  const auto scale = [](const Rate& fleet, Rate* rate) {
    if (fleet.basis != CostBasis::kFleet) return;
    *rate = {rate->mean * fleet.mean, rate->mean * (fleet.mean + fleet.sigma), CostBasis::kFleet};
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
    *rate = {mixed, std::sqrt(spread * spread + doubt * doubt), CostBasis::kOwnHistory};
  };
  if (history != nullptr) {
    mix(history->joules, &rates.joules);
    mix(history->seconds, &rates.seconds);
  }
  return {units * rates.joules.mean, units * rates.joules.sigma, units * rates.seconds.mean,
          units * rates.seconds.sigma, rates.joules.basis};
}

CheckedClaim CostPredictor::Check(const std::string& device_class, const CostHistory* history,
                                  const CostClaim& claim, std::optional<double> elapsed_s) const {
  CheckedClaim checked;
  checked.joules = Figure("joules", claim.joules, &checked.flags);
  checked.seconds = Figure("seconds", claim.seconds, &checked.flags);
  if (elapsed_s) {
    Bound("seconds", 0, *elapsed_s, absl::StrCat("the assignment was given ", *elapsed_s, " s ago"),
          &checked.seconds, &checked.flags);
  }
  const std::optional<double> seconds = checked.seconds ? checked.seconds : elapsed_s;
  if (seconds) {
    const double watts = kPeakPower * TraitsOf(device_class).watts;
    Bound("joules", 0, watts * *seconds,
          absl::StrCat("more than ", watts, " W over ", *seconds, " s, which no ", device_class,
                       " draws"),
          &checked.joules, &checked.flags);
  }
  const CostPrediction usual = Predict(device_class, history, std::max(claim.units, 1.0));
  const double factor = FactorOf(usual.basis);
  Bound("joules", usual.joules / factor, usual.joules * factor,
        absl::StrCat("more than ", factor, " times off the ", usual.joules, " J expected of it"),
        &checked.joules, &checked.flags);
  return checked;
}

double CostPredictor::FloorJoules(const std::string& device_class, double units) const {
  const Rate rate = ClassRates(device_class).joules;
  return units * std::max(rate.mean - 2 * rate.sigma, rate.mean / kOwnFactor);
}

double CostPredictor::CeilingJoules(const std::string& device_class, double units) const {
  const Rate rate = ClassRates(device_class).joules;
  return units * rate.mean * FactorOf(rate.basis);
}

}  // namespace fedwatt
