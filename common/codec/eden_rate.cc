#include "common/codec/eden_rate.h"

#include <cmath>
#include <numbers>

namespace fedwatt {
namespace {

constexpr double kFarEnough = 9;  // beyond, a Gaussian adds nothing to a double
constexpr int kStepBits = 12;

double Density(double z) {
  return std::exp(-z * z / 2) / (std::numbers::sqrt2 / std::numbers::inv_sqrtpi);
}

double Tail(double z) { return std::erfc(z / std::numbers::sqrt2) / 2; }

double RoundToStepBits(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, kStepBits)), exponent - kStepBits);
}

}  // namespace

UniformRate RateOfUniformStep(double step) {
  const double zero = 1 - 2 * Tail(step / 2);
  double entropy = -zero * std::log2(zero);
  double square = 0;   // E[k^2]
  double product = 0;  // E[k z]
  for (int k = 1; (k - 0.5) * step < kFarEnough; ++k) {
    const double low = (k - 0.5) * step;
    const double high = low + step;
    const double p = Tail(low) - Tail(high);
    if (p > 0) entropy -= 2 * p * std::log2(p);
    square += 2.0 * k * k * p;
    product += 2.0 * k * (Density(low) - Density(high));
  }
  return {entropy, square / (product * product) - 1};
}

namespace {

double SearchStepFor(double bits) {
  // For small steps the entropy is log2(sqrt(2 pi e) / step); for large ones less is lost.
  const double fine = std::sqrt(2 * std::numbers::pi * std::numbers::e) * std::exp2(-bits);
  double low = 0.9 * fine;
  double high = 1.3 * fine;
  while (high - low > 1e-5 * low) {
    const double middle = (low + high) / 2;
    (RateOfUniformStep(middle).entropy_bits > bits ? low : high) = middle;
  }
  return RoundToStepBits((low + high) / 2);
}

}  // namespace

// A codec is made for every update, and nearly always for the same bits: the search costs as much
// as the encoding of some thousand coordinates.
double UniformStepFor(double bits) {
  struct Found {
    double bits = 0;
    double step = 0;
  };
  static thread_local Found last;
  if (last.bits != bits) last = {bits, SearchStepFor(bits)};
  return last.step;
}

}  // namespace fedwatt
