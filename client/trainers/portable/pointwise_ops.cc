#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "client/trainers/portable/layer_op.h"

namespace fedwatt::portable {
namespace {

// f(x) and its derivative, which may use f(x).
struct Function {
  float (*value)(float x, double number);
  float (*slope)(float x, float y, double number);
};

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// 0.5 x (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3): Hendrycks and Gimpel 2016.
float GeluTanhOf(float x) {
  return std::tanh(std::sqrt(2 / std::numbers::pi_v<float>) * (x + 0.044715F * x * x * x));
}

Function FunctionOf(LayerKind kind) {
  switch (kind) {
    case LayerKind::kRelu6:
      return {[](float x, double) { return std::min(std::max(x, 0.0F), 6.0F); },
              [](float x, float, double) { return x > 0 && x < 6 ? 1.0F : 0.0F; }};
    case LayerKind::kLeakyRelu:
      return {[](float x, double a) { return x > 0 ? x : x * static_cast<float>(a); },
              [](float x, float, double a) { return x > 0 ? 1.0F : static_cast<float>(a); }};
    case LayerKind::kGelu:
      return {[](float x, double) {
                return 0.5F * x * (1 + std::erf(x / std::numbers::sqrt2_v<float>));
              },
              [](float x, float, double) {
                const float density = std::exp(-0.5F * x * x) * std::numbers::inv_sqrtpi_v<float> /
                                      std::numbers::sqrt2_v<float>;
                return 0.5F * (1 + std::erf(x / std::numbers::sqrt2_v<float>)) + x * density;
              }};
    case LayerKind::kGeluTanh:
      return {[](float x, double) { return 0.5F * x * (1 + GeluTanhOf(x)); },
              [](float x, float, double) {
                const float t = GeluTanhOf(x);
                const float inner =
                    std::sqrt(2 / std::numbers::pi_v<float>) * (1 + 3 * 0.044715F * x * x);
                return 0.5F * (1 + t) + 0.5F * x * (1 - t * t) * inner;
              }};
    case LayerKind::kTanh:
      return {[](float x, double) { return std::tanh(x); },
              [](float, float y, double) { return 1 - y * y; }};
    case LayerKind::kSigmoid:
      return {[](float x, double) { return Sigmoid(x); },
              [](float, float y, double) { return y * (1 - y); }};
    default:
      return {[](float x, double) { return x * Sigmoid(x); },
              [](float x, float, double) {
                const float s = Sigmoid(x);
                return s * (1 + x * (1 - s));
              }};
  }
}

class ActivationOp final : public LayerOp {
 public:
  explicit ActivationOp(const LayerPlace& place)
      : function_(FunctionOf(place.layer.kind)),
        number_(place.layer.reals.empty() ? 0 : place.layer.reals[0]),
        size_(ElementsOf(place.out)) {}

  absl::Status Forward(const LayerIo& io) override {
    for (uint64_t i = 0; i < io.n * size_; ++i) io.out[i] = function_.value(io.in[0][i], number_);
    return absl::OkStatus();
  }
  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    for (uint64_t i = 0; i < io.n * size_; ++i) {
      io.in_grad[0][i] += io.out_grad[i] * function_.slope(io.in[0][i], io.out[i], number_);
    }
    return absl::OkStatus();
  }

 private:
  const Function function_;
  const double number_;
  const uint64_t size_;
};

// Most models have hundreds of thousands of these: a loop of its own, which vectorises.
class ReluOp final : public LayerOp {
 public:
  explicit ReluOp(const LayerPlace& place) : size_(ElementsOf(place.out)) {}

  absl::Status Forward(const LayerIo& io) override {
    // Not std::max(0, x): what is not a number must stay so.
    for (uint64_t i = 0; i < io.n * size_; ++i) io.out[i] = io.in[0][i] < 0 ? 0 : io.in[0][i];
    return absl::OkStatus();
  }
  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    for (uint64_t i = 0; i < io.n * size_; ++i) {
      io.in_grad[0][i] += io.out[i] > 0 ? io.out_grad[i] : 0;
    }
    return absl::OkStatus();
  }

 private:
  const uint64_t size_;
};

class SoftmaxOp final : public LayerOp {
 public:
  explicit SoftmaxOp(const LayerPlace& place) : log_(place.layer.kind == LayerKind::kLogSoftmax) {
    const auto axis = static_cast<size_t>(place.layer.ints[0] - 1);
    classes_ = static_cast<uint64_t>(place.out[axis]);
    for (size_t d = 0; d < axis; ++d) outer_ *= static_cast<uint64_t>(place.out[d]);
    for (size_t d = axis + 1; d < place.out.size(); ++d) {
      inner_ *= static_cast<uint64_t>(place.out[d]);
    }
  }

  absl::Status Forward(const LayerIo& io) override {
    ForEachRow(io.n, [&](uint64_t at) {
      float largest = io.in[0][at];
      for (uint64_t c = 1; c < classes_; ++c) {
        largest = std::max(largest, io.in[0][at + c * inner_]);
      }
      double sum = 0;
      for (uint64_t c = 0; c < classes_; ++c) {
        sum += std::exp(static_cast<double>(io.in[0][at + c * inner_]) - largest);
      }
      const double log_sum = std::log(sum);
      for (uint64_t c = 0; c < classes_; ++c) {
        const double value = static_cast<double>(io.in[0][at + c * inner_]) - largest - log_sum;
        io.out[at + c * inner_] = static_cast<float>(log_ ? value : std::exp(value));
      }
    });
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    ForEachRow(io.n, [&](uint64_t at) {
      double sum = 0;
      for (uint64_t c = 0; c < classes_; ++c) {
        const uint64_t i = at + c * inner_;
        sum += static_cast<double>(io.out_grad[i]) * (log_ ? 1 : io.out[i]);
      }
      for (uint64_t c = 0; c < classes_; ++c) {
        const uint64_t i = at + c * inner_;
        const double grad =
            log_ ? io.out_grad[i] - std::exp(io.out[i]) * sum : io.out[i] * (io.out_grad[i] - sum);
        io.in_grad[0][i] += static_cast<float>(grad);
      }
    });
    return absl::OkStatus();
  }

 private:
  template <typename Visit>
  void ForEachRow(uint64_t n, const Visit& visit) const {
    for (uint64_t outer = 0; outer < n * outer_; ++outer) {
      for (uint64_t inner = 0; inner < inner_; ++inner) visit(outer * classes_ * inner_ + inner);
    }
  }

  const bool log_;
  uint64_t classes_ = 1;
  uint64_t outer_ = 1;
  uint64_t inner_ = 1;
};

// scale a + shift + second b: affine, add and reshape.
class LinearSumOp final : public LayerOp {
 public:
  LinearSumOp(const LayerPlace& place, double scale, double shift, double second)
      : size_(ElementsOf(place.out)),
        scale_(static_cast<float>(scale)),
        shift_(static_cast<float>(shift)),
        second_(static_cast<float>(second)) {}

  absl::Status Forward(const LayerIo& io) override {
    for (uint64_t i = 0; i < io.n * size_; ++i) {
      io.out[i] = scale_ * io.in[0][i] + shift_;
      if (io.in[1] != nullptr) io.out[i] += second_ * io.in[1][i];
    }
    return absl::OkStatus();
  }
  absl::Status Backward(const LayerIo& io) override {
    for (size_t k = 0; k < 2; ++k) {
      if (io.in_grad[k] == nullptr) continue;
      const float factor = k == 0 ? scale_ : second_;
      for (uint64_t i = 0; i < io.n * size_; ++i) io.in_grad[k][i] += factor * io.out_grad[i];
    }
    return absl::OkStatus();
  }

 private:
  const uint64_t size_;
  const float scale_;
  const float shift_;
  const float second_;
};

class TransposeOp final : public LayerOp {
 public:
  explicit TransposeOp(const LayerPlace& place) : out_(place.out) {
    std::vector<uint64_t> strides(out_.size());
    uint64_t stride = 1;
    for (size_t d = out_.size(); d-- > 0;) {
      strides[d] = stride;
      stride *= static_cast<uint64_t>(place.in[0][d]);
    }
    std::swap(strides[static_cast<size_t>(place.layer.ints[0] - 1)],
              strides[static_cast<size_t>(place.layer.ints[1] - 1)]);
    strides_ = std::move(strides);
  }

  absl::Status Forward(const LayerIo& io) override {
    ForEach(io.n, [&](uint64_t to, uint64_t from) { io.out[to] = io.in[0][from]; });
    return absl::OkStatus();
  }
  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    ForEach(io.n, [&](uint64_t to, uint64_t from) { io.in_grad[0][from] += io.out_grad[to]; });
    return absl::OkStatus();
  }

 private:
  template <typename Visit>
  void ForEach(uint64_t n, const Visit& visit) const {
    const uint64_t size = ElementsOf(out_);
    for (uint64_t i = 0; i < n * size; ++i) {
      uint64_t rest = i % size, from = i - rest;
      for (size_t d = out_.size(); d-- > 0;) {
        from += rest % static_cast<uint64_t>(out_[d]) * strides_[d];
        rest /= static_cast<uint64_t>(out_[d]);
      }
      visit(i, from);
    }
  }

  const Shape out_;
  std::vector<uint64_t> strides_;  // of the input, by the result's dimensions
};

}  // namespace

std::unique_ptr<LayerOp> MakePointwiseOp(const LayerPlace& place) {
  const Layer& layer = place.layer;
  switch (layer.kind) {
    case LayerKind::kRelu:
      return std::make_unique<ReluOp>(place);
    case LayerKind::kSoftmax:
    case LayerKind::kLogSoftmax:
      return std::make_unique<SoftmaxOp>(place);
    case LayerKind::kReshape:
      return std::make_unique<LinearSumOp>(place, 1, 0, 0);
    case LayerKind::kAdd:
      return std::make_unique<LinearSumOp>(place, 1, 0, layer.reals[0]);
    case LayerKind::kAffine:
      return std::make_unique<LinearSumOp>(place, layer.reals[0], layer.reals[1], 0);
    case LayerKind::kTranspose:
      return std::make_unique<TransposeOp>(place);
    default:
      return std::make_unique<ActivationOp>(place);
  }
}

}  // namespace fedwatt::portable
