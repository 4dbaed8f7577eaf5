#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "simulation/compare/statistics.h"

// How much censored runs could have come to before a conclusion falls: tipping-point analysis, as
// for missing data in trials (Yan, Lee and Li, "Missing data handling methods in medical device
// clinical trials", Journal of Biopharmaceutical Statistics 19(6), 2009). Pure.
namespace fedwatt {

struct TippingPoint {
  size_t runs = 0;     // censored ones that could overturn it
  double reached = 0;  // the most that one of them had come to
  double at_most = 0;  // it holds while each of them comes to no more; to a thousandth, from below
};

enum class Side { kOurs, kReference };

// `holds` judges pairs whose censored runs of `side` are taken as known, and falls once their value
// has grown enough; those of the other side stay censored. None: no run of `side` is censored, or
// it falls already where the last of them was cut off, or no value overturns it.
std::optional<TippingPoint> FindTippingPoint(
    std::span<const Pair> pairs, Side side,
    const std::function<bool(std::span<const Pair>)>& holds);

}  // namespace fedwatt
