#include "server/selectors/portable_math.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fedwatt {
namespace {

constexpr double kLn2 = 0.69314718055994530942;

constexpr std::array<double, 22> kInverse = [] {
  std::array<double, 22> inverse{};
  for (int n = 1; n < 22; ++n) inverse[static_cast<size_t>(n)] = 1.0 / n;
  return inverse;
}();

}  // namespace

double PortableLn(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // [1/2, 1)
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 atanh((m - 1) / (m + 1)), where the quotient is below 0.172.
  const double t = (mantissa - 1) / (mantissa + 1);
  const double square = t * t;
  double sum = 0;
  for (int n = 21; n >= 1; n -= 2) sum = sum * square + kInverse[static_cast<size_t>(n)];
  return exponent * kLn2 + 2 * t * sum;
}

double PortableExp2(double x) {
  x = std::clamp(x, -1000.0, 1000.0);
  const double whole = std::floor(x + 0.5);
  const double z = (x - whole) * kLn2;
  double sum = 1;
  for (int n = 15; n >= 1; --n) sum = 1 + sum * z * kInverse[static_cast<size_t>(n)];
  return std::ldexp(sum, static_cast<int>(whole));
}

double PortablePow(double x, double y) {
  if (y == 0) return 1;
  if (x <= 0) return 0;
  if (y == 1) return x;
  if (y == 2) return x * x;
  if (y == 0.5) return std::sqrt(x);  // exact everywhere
  return PortableExp2(y * (PortableLn(x) / kLn2));
}

}  // namespace fedwatt
