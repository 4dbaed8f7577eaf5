#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "client/trainers/portable/layer_op.h"

namespace fedwatt::portable {
namespace {

using namespace graph_at;

class MaxPoolOp final : public LayerOp {
 public:
  explicit MaxPoolOp(const LayerPlace& place)
      : ints_(place.layer.ints), in_(place.in[0]), out_(place.out) {}

  // The place of each maximum.
  LayerMemory Memory() const override { return {.kept_per_example = ElementsOf(out_)}; }

  absl::Status Forward(const LayerIo& io) override {
    uint64_t at = 0;
    for (uint64_t plane = 0; plane < io.n * static_cast<uint64_t>(in_[0]); ++plane) {
      const float* in = io.in[0] + plane * Plane();
      for (int64_t y = 0; y < out_[1]; ++y) {
        for (int64_t x = 0; x < out_[2]; ++x, ++at) {
          const uint32_t best = BestOf(in, y, x);
          io.out[at] = in[best];
          io.kept[at] = std::bit_cast<float>(best);
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    const auto size = static_cast<uint64_t>(out_[1] * out_[2]);
    for (uint64_t plane = 0; plane < io.n * static_cast<uint64_t>(in_[0]); ++plane) {
      float* in_grad = io.in_grad[0] + plane * Plane();
      for (uint64_t at = plane * size; at < (plane + 1) * size; ++at) {
        in_grad[std::bit_cast<uint32_t>(io.kept[at])] += io.out_grad[at];
      }
    }
    return absl::OkStatus();
  }

 private:
  uint64_t Plane() const { return static_cast<uint64_t>(in_[1] * in_[2]); }

  // The first of equal ones, and the last that is not a number: PyTorch's choice.
  uint32_t BestOf(const float* in, int64_t y, int64_t x) const {
    const int64_t dy = ints_[kPoolDilationH], dx = ints_[kPoolDilationW];
    int64_t y0 = y * ints_[kPoolStrideH] - ints_[kPoolPadH];
    int64_t x0 = x * ints_[kPoolStrideW] - ints_[kPoolPadW];
    const int64_t y1 = std::min(y0 + (ints_[kPoolH] - 1) * dy + 1, in_[1]);
    const int64_t x1 = std::min(x0 + (ints_[kPoolW] - 1) * dx + 1, in_[2]);
    while (y0 < 0) y0 += dy;
    while (x0 < 0) x0 += dx;
    int64_t best = y0 * in_[2] + x0;
    float largest = -std::numeric_limits<float>::infinity();
    for (int64_t iy = y0; iy < y1; iy += dy) {
      for (int64_t ix = x0; ix < x1; ix += dx) {
        const float value = in[iy * in_[2] + ix];
        if (!(value > largest) && !std::isnan(value)) continue;
        largest = value;
        best = iy * in_[2] + ix;
      }
    }
    return static_cast<uint32_t>(best);
  }

  const std::vector<int64_t> ints_;
  const Shape in_;
  const Shape out_;
};

// Averages over windows. Subclasses say which window a result has, and by what it is divided.
class AverageOp : public LayerOp {
 public:
  explicit AverageOp(const LayerPlace& place)
      : ints_(place.layer.ints), in_(place.in[0]), out_(place.out) {}

  absl::Status Forward(const LayerIo& io) override {
    ForEachWindow(io.n, [&](uint64_t at, uint64_t plane, const Window& w) {
      float sum = 0;
      for (int64_t y = w.y0; y < w.y1; ++y) {
        for (int64_t x = w.x0; x < w.x1; ++x) {
          sum += io.in[0][plane + static_cast<uint64_t>(y * in_[2] + x)];
        }
      }
      io.out[at] = sum / w.divisor;
    });
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    if (io.in_grad[0] == nullptr) return absl::OkStatus();
    ForEachWindow(io.n, [&](uint64_t at, uint64_t plane, const Window& w) {
      const float grad = io.out_grad[at] / w.divisor;
      for (int64_t y = w.y0; y < w.y1; ++y) {
        for (int64_t x = w.x0; x < w.x1; ++x) {
          io.in_grad[0][plane + static_cast<uint64_t>(y * in_[2] + x)] += grad;
        }
      }
    });
    return absl::OkStatus();
  }

 protected:
  struct Window {
    int64_t y0, y1, x0, x1;
    float divisor;
  };
  virtual Window WindowOf(int64_t y, int64_t x) const = 0;

  const std::vector<int64_t> ints_;
  const Shape in_;
  const Shape out_;

 private:
  template <typename Visit>
  void ForEachWindow(uint64_t n, const Visit& visit) const {
    uint64_t at = 0;
    for (uint64_t plane = 0; plane < n * static_cast<uint64_t>(in_[0]); ++plane) {
      for (int64_t y = 0; y < out_[1]; ++y) {
        for (int64_t x = 0; x < out_[2]; ++x, ++at) {
          visit(at, plane * static_cast<uint64_t>(in_[1] * in_[2]), WindowOf(y, x));
        }
      }
    }
  }
};

class AvgPoolOp final : public AverageOp {
 public:
  using AverageOp::AverageOp;

 private:
  Window WindowOf(int64_t y, int64_t x) const override {
    const int64_t y0 = y * ints_[kPoolStrideH] - ints_[kPoolPadH];
    const int64_t x0 = x * ints_[kPoolStrideW] - ints_[kPoolPadW];
    const int64_t y1 = std::min(y0 + ints_[kPoolH], in_[1] + ints_[kPoolPadH]);
    const int64_t x1 = std::min(x0 + ints_[kPoolW], in_[2] + ints_[kPoolPadW]);
    Window w{std::max<int64_t>(y0, 0), std::min(y1, in_[1]), std::max<int64_t>(x0, 0),
             std::min(x1, in_[2]), 1};
    const int64_t counted =
        ints_[kCountPadding] == 1 ? (y1 - y0) * (x1 - x0) : (w.y1 - w.y0) * (w.x1 - w.x0);
    w.divisor = static_cast<float>(counted);
    return w;
  }
};

class AdaptiveAvgPoolOp final : public AverageOp {
 public:
  using AverageOp::AverageOp;

 private:
  Window WindowOf(int64_t y, int64_t x) const override {
    const auto end = [](int64_t at, int64_t in, int64_t out) {
      return ((at + 1) * in + out - 1) / out;
    };
    Window w{y * in_[1] / out_[1], end(y, in_[1], out_[1]), x * in_[2] / out_[2],
             end(x, in_[2], out_[2]), 1};
    w.divisor = static_cast<float>((w.y1 - w.y0) * (w.x1 - w.x0));
    return w;
  }
};

}  // namespace

std::unique_ptr<LayerOp> MakePoolOp(const LayerPlace& place) {
  switch (place.layer.kind) {
    case LayerKind::kMaxPool2d:
      return std::make_unique<MaxPoolOp>(place);
    case LayerKind::kAvgPool2d:
      return std::make_unique<AvgPoolOp>(place);
    case LayerKind::kAdaptiveAvgPool2d:
      return std::make_unique<AdaptiveAvgPoolOp>(place);
    default:
      return nullptr;
  }
}

}  // namespace fedwatt::portable
