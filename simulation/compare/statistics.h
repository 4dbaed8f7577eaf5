#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

// What some runs say of all runs: means, and intervals by the bootstrap (Efron and Tibshirani, "An
// introduction to the bootstrap", 1993, chapter 13). Pure functions of their arguments.
namespace fedwatt {

// One run's figure. A censored one ended before it was known: it is more than `value`.
struct Observation {
  double value = 0;
  bool censored = false;
};

// Two runs with one seed.
struct Pair {
  Observation ours;
  Observation reference;
};

// Percentile interval, 95 %: of kResamples sorted figures the 250th and the 9,751st.
struct ConfidenceInterval {
  double low = 0;
  double high = 0;
};

// What an estimate, made with censored runs as if they had ended well, says of the figure itself.
enum class Bound {
  kExact,    // none was censored
  kAtLeast,  // it is this or more
  kAtMost,
  kUnknown  // both sides had censored runs
};

struct Estimate {
  double value = 0;
  std::optional<ConfidenceInterval>
      interval;  // none of fewer than two runs, or where it is not defined
  Bound bound = Bound::kExact;
};

struct Comparison {
  size_t pairs = 0;
  // Ratio of the means less one; none where the reference's mean is not above zero.
  std::optional<Estimate> change;
  Estimate difference;  // mean of ours less the reference's
  // Pairs that are decided, whatever censored runs would have come to; ties are neither.
  size_t less = 0;
  size_t more = 0;
};

// Resamples of `count` runs: the same ones for every figure, so that runs with one seed are drawn
// together.
class Bootstrap {
 public:
  static constexpr size_t kResamples = 10'000;

  explicit Bootstrap(size_t count);

  size_t count() const { return count_; }

  // Of `count` runs, at least one.
  Estimate Mean(std::span<const Observation> runs) const;
  // Of `count` pairs, at least one. Pairs are drawn whole.
  Comparison Compare(std::span<const Pair> pairs) const;

 private:
  // Which runs are in the resample.
  std::span<const uint32_t> Resample(size_t i) const {
    return {drawn_.data() + i * count_, count_};
  }

  const size_t count_;
  std::vector<uint32_t> drawn_;  // kResamples x count_
};

}  // namespace fedwatt
