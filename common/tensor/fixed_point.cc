#include "common/tensor/fixed_point.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tensor/fold_kernels.h"

namespace fedwatt {
namespace {

constexpr int kSumBits = 62;
constexpr int kAddendBits = 51;
constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr uint32_t kMagnitudeBits = 0x7fffffff;

int CeilLog2(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return fraction == 0.5 ? exponent - 1 : exponent;
}

// The largest product of all bounds but `fixed` that still leaves the least scale.
double Room(int bits, double fixed) { return std::ldexp(1.0, bits - kMinFixedPointScale) / fixed; }

absl::Status NoPrecision(int scale, double max_abs_delta, uint64_t max_weight,
                         uint64_t max_reports) {
  const auto reports = static_cast<double>(max_reports);
  const double weight = std::floor(
      std::min(Room(kSumBits, max_abs_delta * reports), Room(kAddendBits, max_abs_delta)));
  const std::string remedy =
      weight >= 1 ? absl::StrCat("lower bounds.max_weight to ", static_cast<uint64_t>(weight),
                                 ", or bounds.max_abs_delta")
                  : absl::StrCat("lower bounds.max_abs_delta to at most ",
                                 std::min(Room(kSumBits, reports), Room(kAddendBits, 1)));
  return absl::InvalidArgumentError(absl::StrCat(
      "bounds.max_abs_delta = ", max_abs_delta, ", bounds.max_weight = ", max_weight, " and ",
      max_reports, " reports leave ", scale, " bits behind the point for sums, at least ",
      kMinFixedPointScale, " are needed; ", remedy));
}

}  // namespace

absl::StatusOr<int> ChooseScale(double max_abs_delta, uint64_t max_weight, uint64_t max_reports) {
  if (!std::isfinite(max_abs_delta) || max_abs_delta <= 0 || max_weight == 0 || max_reports == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("bounds.max_abs_delta = ", max_abs_delta, ", bounds.max_weight = ", max_weight,
                     ", reports = ", max_reports, ": each must be above 0 and finite"));
  }
  const double addend = max_abs_delta * static_cast<double>(max_weight);
  const double sum = addend * static_cast<double>(max_reports);
  const int scale = std::min(kSumBits - CeilLog2(sum), kAddendBits - CeilLog2(addend));
  if (scale < kMinFixedPointScale) {
    return NoPrecision(scale, max_abs_delta, max_weight, max_reports);
  }
  return scale;
}

double FoldFactor(uint64_t weight, double clip, int scale) {
  return std::ldexp(static_cast<double>(weight) * clip, scale);
}

void FoldF32(std::span<const float> x, double factor, std::span<int64_t> acc) {
  FoldKernel(x.data(), factor, acc.data(), std::min(x.size(), acc.size()));
}

void AddI64(std::span<const int64_t> other, std::span<int64_t> acc) {
  AddKernel(other.data(), acc.data(), std::min(other.size(), acc.size()));
}

void ToMeanF32(std::span<const int64_t> acc, double divisor, std::span<float> out) {
  const size_t n = std::min(acc.size(), out.size());
  for (size_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(static_cast<double>(acc[i]) / divisor);
  }
}

void F32Scanner::Add(std::span<const float> values) {
  const auto one = [this](float x) {
    squares_[position_ % kLanes] += static_cast<double>(x) * static_cast<double>(x);
    max_bits_ = std::max(max_bits_, std::bit_cast<uint32_t>(x) & kMagnitudeBits);
    ++position_;
  };
  size_t i = 0;
  for (; i < values.size() && position_ % kLanes != 0; ++i) one(values[i]);
  const size_t whole = (values.size() - i) / kLanes * kLanes;
  max_bits_ = std::max(max_bits_, ScanKernel(values.data() + i, squares_.data(), whole));
  position_ += whole;
  for (i += whole; i < values.size(); ++i) one(values[i]);
}

F32Stats F32Scanner::Stats() const {
  F32Stats stats;
  stats.finite = max_bits_ < kInfinityBits;
  stats.max_abs = std::bit_cast<float>(max_bits_);
  for (const double partial : squares_) stats.sum_squares += partial;
  return stats;
}

absl::StatusOr<F32Stats> ValidateF32(std::span<const float> values, double max_abs) {
  F32Scanner scanner;
  scanner.Add(values);
  const F32Stats stats = scanner.Stats();
  if (!stats.finite || stats.max_abs > max_abs) {
    FW_RETURN_IF_ERROR(FindBadF32(values, max_abs, 0));
  }
  return stats;
}

absl::Status FindBadF32(std::span<const float> values, double max_abs, uint64_t first_index) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("coordinate ", first_index + i, " is ", values[i], ": must be finite"));
    }
    if (std::fabs(static_cast<double>(values[i])) > max_abs) {
      return absl::InvalidArgumentError(absl::StrCat("coordinate ", first_index + i, " is ",
                                                     values[i], ": beyond the bound of ", max_abs,
                                                     " (bounds.max_abs_delta)"));
    }
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
