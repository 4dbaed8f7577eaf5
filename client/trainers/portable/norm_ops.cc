#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/trainers/portable/layer_op.h"

namespace fedwatt::portable {
namespace {

using namespace graph_at;

// Means and inverse deviations are sums over many numbers: in double, as their differences matter.
class BatchNormOp final : public LayerOp {
 public:
  explicit BatchNormOp(const LayerPlace& place)
      : layer_(place.layer),
        channels_(static_cast<uint64_t>(place.out[0])),
        pixels_(ElementsOf(place.out) / channels_) {}

  LayerMemory Memory() const override { return {.kept = 2 * channels_}; }

  absl::Status Forward(const LayerIo& io) override {
    const bool own = UsesBatch(io);
    if (own && io.training && io.n * pixels_ < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("batch norm ", layer_.name,
                       " needs more than one value per channel to "
                       "train on, and this batch has one; choose a batch size that does not leave "
                       "a batch of one example"));
    }
    for (uint64_t c = 0; c < channels_; ++c) {
      double mean = 0, variance = 0;
      if (own) {
        Statistics(io, c, &mean, &variance);
        if (io.training) UpdateRunning(io, c, mean, variance);
      } else {
        mean = io.tensors[2][c];
        variance = io.tensors[3][c];
      }
      io.kept[2 * c] = static_cast<float>(mean);
      io.kept[2 * c + 1] =
          static_cast<float>(1 / std::sqrt(variance + layer_.reals[kBatchNormEps]));
      const float scale = io.kept[2 * c + 1] * Weight(io, c);
      const float shift = io.tensors[1] == nullptr ? 0 : io.tensors[1][c];
      for (uint64_t i = 0; i < io.n; ++i) {
        const float* in = io.in[0] + At(i, c);
        float* out = io.out + At(i, c);
        for (uint64_t p = 0; p < pixels_; ++p) out[p] = (in[p] - io.kept[2 * c]) * scale + shift;
      }
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    for (uint64_t c = 0; c < channels_; ++c) {
      const float mean = io.kept[2 * c], deviation = io.kept[2 * c + 1];
      double sum = 0, product = 0;
      for (uint64_t i = 0; i < io.n; ++i) {
        const float* in = io.in[0] + At(i, c);
        const float* grad = io.out_grad + At(i, c);
        for (uint64_t p = 0; p < pixels_; ++p) {
          sum += grad[p];
          product += static_cast<double>(grad[p]) * ((in[p] - mean) * deviation);
        }
      }
      if (io.tensor_grads[0] != nullptr) io.tensor_grads[0][c] += static_cast<float>(product);
      if (io.tensor_grads[1] != nullptr) io.tensor_grads[1][c] += static_cast<float>(sum);
      if (io.in_grad[0] != nullptr) AddInputGradient(io, c, sum, product);
    }
    return absl::OkStatus();
  }

 private:
  uint64_t At(uint64_t example, uint64_t channel) const {
    return (example * channels_ + channel) * pixels_;
  }
  bool UsesBatch(const LayerIo& io) const {
    return layer_.ints[io.training ? kBatchStatsTrain : kBatchStatsEval] == 1;
  }
  static float Weight(const LayerIo& io, uint64_t c) {
    return io.tensors[0] == nullptr ? 1 : io.tensors[0][c];
  }

  void Statistics(const LayerIo& io, uint64_t c, double* mean, double* variance) const {
    const double count = static_cast<double>(io.n * pixels_);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < io.n; ++i) {
      for (uint64_t p = 0; p < pixels_; ++p) sum += io.in[0][At(i, c) + p];
    }
    *mean = sum / count;
    for (uint64_t i = 0; i < io.n; ++i) {
      for (uint64_t p = 0; p < pixels_; ++p) {
        const double off = io.in[0][At(i, c) + p] - *mean;
        squares += off * off;
      }
    }
    *variance = squares / count;
  }

  void UpdateRunning(const LayerIo& io, uint64_t c, double mean, double variance) const {
    if (io.tensors[2] == nullptr) return;
    const double momentum = layer_.reals[kMomentum];
    const double count = static_cast<double>(io.n * pixels_);
    const double unbiased = variance * count / (count - 1);
    io.tensors[2][c] = static_cast<float>((1 - momentum) * io.tensors[2][c] + momentum * mean);
    io.tensors[3][c] = static_cast<float>((1 - momentum) * io.tensors[3][c] + momentum * unbiased);
  }

  void AddInputGradient(const LayerIo& io, uint64_t c, double sum, double product) const {
    const float mean = io.kept[2 * c], deviation = io.kept[2 * c + 1];
    const float scale = deviation * Weight(io, c);
    const double count = static_cast<double>(io.n * pixels_);
    const bool own = UsesBatch(io);
    const auto mean_grad = static_cast<float>(own ? sum / count : 0);
    const auto mean_product = static_cast<float>(own ? product / count : 0);
    for (uint64_t i = 0; i < io.n; ++i) {
      const float* in = io.in[0] + At(i, c);
      const float* grad = io.out_grad + At(i, c);
      float* in_grad = io.in_grad[0] + At(i, c);
      for (uint64_t p = 0; p < pixels_; ++p) {
        const float normal = (in[p] - mean) * deviation;
        in_grad[p] += scale * (grad[p] - mean_grad - normal * mean_product);
      }
    }
  }

  const Layer layer_;
  const uint64_t channels_;
  const uint64_t pixels_;
};

// Group norm and layer norm: an example falls into rows of `size_` numbers, each normalised alone.
// A weight belongs to `span_` numbers side by side, `weights_` of them to a row; group norm's rows
// have weights of their own, layer norm's share them.
class RowNormOp final : public LayerOp {
 public:
  explicit RowNormOp(const LayerPlace& place) : eps_(place.layer.reals[0]) {
    const uint64_t elements = ElementsOf(place.out);
    if (place.layer.kind == LayerKind::kGroupNorm) {
      rows_ = static_cast<uint64_t>(place.layer.ints[0]);
      const auto channels = static_cast<uint64_t>(place.out[0]);
      span_ = elements / channels;
      weights_ = channels / rows_;
      weight_step_ = weights_;
    } else {
      const Shape last(place.out.end() - place.layer.ints[0], place.out.end());
      weights_ = ElementsOf(last);
      rows_ = elements / weights_;
    }
    size_ = span_ * weights_;
  }

  LayerMemory Memory() const override { return {.kept_per_example = 2 * rows_}; }

  absl::Status Forward(const LayerIo& io) override {
    for (uint64_t row = 0; row < io.n * rows_; ++row) {
      const float* in = io.in[0] + row * size_;
      double sum = 0, squares = 0;
      for (uint64_t j = 0; j < size_; ++j) sum += in[j];
      const double mean = sum / static_cast<double>(size_);
      for (uint64_t j = 0; j < size_; ++j) squares += (in[j] - mean) * (in[j] - mean);
      io.kept[2 * row] = static_cast<float>(mean);
      io.kept[2 * row + 1] =
          static_cast<float>(1 / std::sqrt(squares / static_cast<double>(size_) + eps_));
      for (uint64_t w = 0; w < weights_; ++w) {
        const uint64_t at = WeightAt(row, w);
        const float scale =
            io.kept[2 * row + 1] * (io.tensors[0] == nullptr ? 1 : io.tensors[0][at]);
        const float shift = io.tensors[1] == nullptr ? 0 : io.tensors[1][at];
        for (uint64_t j = w * span_; j < (w + 1) * span_; ++j) {
          io.out[row * size_ + j] = (in[j] - io.kept[2 * row]) * scale + shift;
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    for (uint64_t row = 0; row < io.n * rows_; ++row) {
      const float mean = io.kept[2 * row], deviation = io.kept[2 * row + 1];
      const float* in = io.in[0] + row * size_;
      const float* grad = io.out_grad + row * size_;
      double row_sum = 0, row_product = 0;
      for (uint64_t w = 0; w < weights_; ++w) {
        const uint64_t at = WeightAt(row, w);
        double sum = 0, product = 0;
        for (uint64_t j = w * span_; j < (w + 1) * span_; ++j) {
          sum += grad[j];
          product += static_cast<double>(grad[j]) * ((in[j] - mean) * deviation);
        }
        if (io.tensor_grads[0] != nullptr) io.tensor_grads[0][at] += static_cast<float>(product);
        if (io.tensor_grads[1] != nullptr) io.tensor_grads[1][at] += static_cast<float>(sum);
        const double weight = io.tensors[0] == nullptr ? 1 : io.tensors[0][at];
        row_sum += weight * sum;
        row_product += weight * product;
      }
      if (io.in_grad[0] != nullptr) AddInputGradient(io, row, row_sum, row_product);
    }
    return absl::OkStatus();
  }

 private:
  uint64_t WeightAt(uint64_t row, uint64_t w) const { return row % rows_ * weight_step_ + w; }

  void AddInputGradient(const LayerIo& io, uint64_t row, double sum, double product) const {
    const float mean = io.kept[2 * row], deviation = io.kept[2 * row + 1];
    const auto mean_grad = static_cast<float>(sum / static_cast<double>(size_));
    const auto mean_product = static_cast<float>(product / static_cast<double>(size_));
    for (uint64_t w = 0; w < weights_; ++w) {
      const float weight = io.tensors[0] == nullptr ? 1 : io.tensors[0][WeightAt(row, w)];
      for (uint64_t j = w * span_; j < (w + 1) * span_; ++j) {
        const uint64_t at = row * size_ + j;
        const float normal = (io.in[0][at] - mean) * deviation;
        io.in_grad[0][at] +=
            deviation * (io.out_grad[at] * weight - mean_grad - normal * mean_product);
      }
    }
  }

  const double eps_;
  uint64_t rows_ = 1;  // of one example
  uint64_t size_ = 1;
  uint64_t span_ = 1;
  uint64_t weights_ = 1;
  uint64_t weight_step_ = 0;
};

}  // namespace

std::unique_ptr<LayerOp> MakeNormOp(const LayerPlace& place) {
  switch (place.layer.kind) {
    case LayerKind::kBatchNorm:
      return std::make_unique<BatchNormOp>(place);
    case LayerKind::kGroupNorm:
    case LayerKind::kLayerNorm:
      return std::make_unique<RowNormOp>(place);
    default:
      return nullptr;
  }
}

}  // namespace fedwatt::portable
