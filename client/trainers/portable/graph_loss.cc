#include "client/trainers/portable/graph_loss.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fedwatt::portable {
namespace {

bool ComparesClasses(const LossSpec& loss) {
  return loss.kind == LossKind::kCrossEntropy || loss.kind == LossKind::kNll;
}

bool IsShape(const std::vector<int64_t>& with_batch, uint64_t n, const Shape& example,
             size_t from) {
  if (with_batch.size() != 1 + example.size() - from) return false;
  return with_batch[0] == static_cast<int64_t>(n) &&
         std::equal(example.begin() + static_cast<ptrdiff_t>(from), example.end(),
                    with_batch.begin() + 1);
}

// Loss of one number and its derivative.
double ElementLoss(LossKind kind, double x, double y, double* slope) {
  switch (kind) {
    case LossKind::kMse:
      *slope = 2 * (x - y);
      return (x - y) * (x - y);
    case LossKind::kL1:
      *slope = x > y ? 1 : (x < y ? -1 : 0);
      return std::abs(x - y);
    default:
      *slope = 1 / (1 + std::exp(-x)) - y;
      // max(x, 0) - x y + log(1 + exp(-|x|)): no overflow.
      return std::max(x, 0.0) - x * y + std::log1p(std::exp(-std::abs(x)));
  }
}

// Cross entropy of one example's scores, which are `stride` apart.
double ClassLoss(const LossSpec& loss, uint64_t classes, uint64_t stride, const float* scores,
                 uint64_t target, double factor, float* grad) {
  if (loss.kind == LossKind::kNll) {
    if (grad != nullptr) grad[target * stride] -= static_cast<float>(factor);
    return -static_cast<double>(scores[target * stride]);
  }
  double largest = scores[0];
  for (uint64_t c = 1; c < classes; ++c) {
    largest = std::max(largest, static_cast<double>(scores[c * stride]));
  }
  double sum = 0;
  for (uint64_t c = 0; c < classes; ++c) sum += std::exp(scores[c * stride] - largest);
  const double log_sum = largest + std::log(sum);
  for (uint64_t c = 0; grad != nullptr && c < classes; ++c) {
    const double probability = std::exp(scores[c * stride] - log_sum);
    grad[c * stride] += static_cast<float>(factor * (probability - (c == target ? 1 : 0)));
  }
  return log_sum - scores[target * stride];
}

// What one element's loss counts in the mean that training descends.
double FactorOf(LossReduction reduction, uint64_t n, uint64_t per_example, uint64_t counted) {
  switch (reduction) {
    case LossReduction::kMeanPerExample:
      return 1 / (static_cast<double>(n) * static_cast<double>(per_example));
    case LossReduction::kSumPerExample:
      return 1 / static_cast<double>(n);
    case LossReduction::kMeanOfBatch:
      break;
  }
  return 1 / static_cast<double>(counted);
}

// From sums per example.
BatchLoss Reduce(const LossSpec& loss, std::vector<double> sums, double factor) {
  BatchLoss result;
  const double n = static_cast<double>(sums.size());
  for (const double sum : sums) result.mean += sum * factor;
  if (loss.reduction == LossReduction::kMeanOfBatch) {
    result.losses = {result.mean};
  } else {
    for (double& sum : sums) sum *= factor * n;
    result.losses = std::move(sums);
  }
  return result;
}

absl::StatusOr<BatchLoss> ComputeClassLoss(const LossSpec& loss, uint64_t n, const Shape& compared,
                                           const float* values, const int64_t* targets,
                                           float* grad) {
  const auto classes = static_cast<uint64_t>(compared[0]);
  const uint64_t positions = ElementsOf(compared) / classes;
  uint64_t counted = 0;
  for (uint64_t i = 0; i < n * positions; ++i) {
    if (targets[i] == loss.ignore_index) continue;
    ++counted;
    if (targets[i] < 0 || targets[i] >= compared[0]) {
      return absl::InvalidArgumentError(
          absl::StrCat("a target is ", targets[i], "; the model has classes 0 to ", classes - 1));
    }
  }
  const double factor = FactorOf(loss.reduction, n, positions, counted);
  std::vector<double> sums(n);
  for (uint64_t i = 0; i < n; ++i) {
    for (uint64_t p = 0; p < positions; ++p) {
      const int64_t target = targets[i * positions + p];
      if (target == loss.ignore_index) continue;
      const uint64_t at = i * classes * positions + p;
      sums[i] += ClassLoss(loss, classes, positions, values + at, static_cast<uint64_t>(target),
                           factor, grad == nullptr ? nullptr : grad + at);
    }
  }
  return Reduce(loss, std::move(sums), factor);
}

}  // namespace

absl::StatusOr<Targets> TargetsOf(const Batch& batch, const LossSpec& loss, const Shape& compared,
                                  const Shape& output) {
  Targets targets;
  const bool classes = ComparesClasses(loss);
  const bool fits = classes ? IsShape(batch.y_shape, batch.n, compared, 1)
                            : IsShape(batch.y_shape, batch.n, compared, 0) ||
                                  IsShape(batch.y_shape, batch.n, output, 0);
  const DType wanted = classes ? DType::kI64 : DType::kF32;
  if (!fits || batch.y_dtype != wanted || ElementsOf(compared) != ElementsOf(output)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "targets are ", DTypeName(batch.y_dtype), " [", absl::StrJoin(batch.y_shape, ", "),
        "] for ", batch.n, " examples; the model compares ", DTypeName(wanted), " with [",
        absl::StrJoin(compared, ", "), "] per example"));
  }
  if (classes) {
    targets.classes = reinterpret_cast<const int64_t*>(batch.y.data());
  } else {
    targets.numbers = reinterpret_cast<const float*>(batch.y.data());
  }
  return targets;
}

absl::StatusOr<BatchLoss> ComputeLoss(const LossSpec& loss, uint64_t n, const Shape& compared,
                                      const float* values, const Targets& targets, float* grad) {
  if (ComparesClasses(loss)) {
    return ComputeClassLoss(loss, n, compared, values, targets.classes, grad);
  }
  const uint64_t size = ElementsOf(compared);
  const double factor = FactorOf(loss.reduction, n, size, n * size);
  std::vector<double> sums(n);
  for (uint64_t i = 0; i < n * size; ++i) {
    double slope = 0;
    sums[i / size] += ElementLoss(loss.kind, values[i], targets.numbers[i], &slope);
    if (grad != nullptr) grad[i] += static_cast<float>(slope * factor);
  }
  return Reduce(loss, std::move(sums), factor);
}

void AddLosses(const BatchLoss& loss, uint64_t n, LossSums* sums) {
  const double copies = static_cast<double>(n) / static_cast<double>(loss.losses.size());
  sums->examples += n;
  for (const double value : loss.losses) {
    sums->loss_sum += value * copies;
    sums->loss_sq_sum += value * value * copies;
  }
}

void CountCorrect(uint64_t n, const Shape& output, const float* values, const Targets& targets,
                  LossSums* sums) {
  const auto classes = static_cast<uint64_t>(output[0]);
  const uint64_t positions = ElementsOf(output) / classes;
  for (uint64_t i = 0; i < n * positions; ++i) {
    if (targets.classes[i] < 0) continue;
    const float* scores = values + i / positions * classes * positions + i % positions;
    uint64_t best = 0;
    for (uint64_t c = 1; c < classes; ++c) {
      if (scores[c * positions] > scores[best * positions]) best = c;
    }
    sums->correct += best == static_cast<uint64_t>(targets.classes[i]) ? 1 : 0;
    ++sums->predictions;
  }
}

}  // namespace fedwatt::portable
