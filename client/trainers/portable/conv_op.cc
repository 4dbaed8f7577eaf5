#include <algorithm>
#include <cstring>

#include "client/trainers/portable/gemm.h"
#include "client/trainers/portable/layer_op.h"
#include "common/base/status_macros.h"

namespace fedwatt::portable {
namespace {

using namespace graph_at;

// One image at a time: its patches become the columns of a matrix (im2col), so that a convolution
// is a product. Memory stays that of one image.
class ConvOp final : public LayerOp {
 public:
  explicit ConvOp(const LayerPlace& place)
      : ints_(place.layer.ints),
        groups_(place.layer.ints[kGroups]),
        in_(place.in[0]),
        out_(place.out),
        weight_(place.tensors[place.layer.tensors[0]].shape) {}

  LayerMemory Memory() const override {
    return {.scratch = static_cast<uint64_t>(patch() * pixels()) * (IsPlain() ? 1 : 2)};
  }

  absl::Status Forward(const LayerIo& io) override {
    for (uint64_t i = 0; i < io.n; ++i) {
      FW_RETURN_IF_ERROR(io.monitor->Check());
      float* out = io.out + i * ElementsOf(out_);
      for (int64_t g = 0; g < groups_; ++g) {
        const float* columns = Columns(InputOf(io.in[0], i, g), io.scratch);
        Gemm({filters(), pixels(), patch()}, Operand::kPlain, io.tensors[0] + WeightAt(g),
             Operand::kPlain, columns, false, out + g * filters() * pixels());
      }
      if (io.tensors[1] != nullptr) AddBias(io.tensors[1], out);
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    for (uint64_t i = 0; i < io.n; ++i) {
      FW_RETURN_IF_ERROR(io.monitor->Check());
      const float* out_grad = io.out_grad + i * ElementsOf(out_);
      for (int64_t g = 0; g < groups_; ++g) BackwardGroup(io, i, g, out_grad);
      if (io.tensor_grads[1] != nullptr) AddBiasGradient(out_grad, io.tensor_grads[1]);
    }
    return absl::OkStatus();
  }

 private:
  int64_t pixels() const { return out_[1] * out_[2]; }
  int64_t filters() const { return out_[0] / groups_; }  // of one group
  int64_t channels() const { return in_[0] / groups_; }
  int64_t patch() const { return channels() * weight_[2] * weight_[3]; }
  int64_t WeightAt(int64_t group) const { return group * filters() * patch(); }

  // An image is its own matrix of patches.
  bool IsPlain() const {
    return weight_[2] == 1 && weight_[3] == 1 && ints_[kStrideH] == 1 && ints_[kStrideW] == 1 &&
           ints_[kPadH] == 0 && ints_[kPadW] == 0;
  }

  template <typename T>
  T* InputOf(T* data, uint64_t example, int64_t group) const {
    return data + example * ElementsOf(in_) + group * channels() * in_[1] * in_[2];
  }

  void AddBias(const float* bias, float* out) const {
    for (int64_t c = 0; c < out_[0]; ++c) {
      for (int64_t p = 0; p < pixels(); ++p) out[c * pixels() + p] += bias[c];
    }
  }

  void AddBiasGradient(const float* out_grad, float* grad) const {
    for (int64_t c = 0; c < out_[0]; ++c) {
      double sum = 0;
      for (int64_t p = 0; p < pixels(); ++p) sum += out_grad[c * pixels() + p];
      grad[c] += static_cast<float>(sum);
    }
  }

  void BackwardGroup(const LayerIo& io, uint64_t i, int64_t g, const float* out_grad) const {
    const float* grad = out_grad + g * filters() * pixels();
    if (io.tensor_grads[0] != nullptr) {
      const float* columns = Columns(InputOf(io.in[0], i, g), io.scratch);
      Gemm({filters(), patch(), pixels()}, Operand::kPlain, grad, Operand::kTransposed, columns,
           true, io.tensor_grads[0] + WeightAt(g));
    }
    if (io.in_grad[0] == nullptr) return;
    float* in_grad = InputOf(io.in_grad[0], i, g);
    float* columns = IsPlain() ? in_grad : io.scratch + patch() * pixels();
    Gemm({patch(), pixels(), filters()}, Operand::kTransposed, io.tensors[0] + WeightAt(g),
         Operand::kPlain, grad, IsPlain(), columns);
    if (!IsPlain()) ForEachRow(columns, in_grad, AddRow);
  }

  const float* Columns(const float* image, float* scratch) const {
    if (IsPlain()) return image;
    ForEachRow(scratch, image, CopyRow);
    return scratch;
  }

  // A row of a patch matrix: for one place in the kernel and one row of results, the pixels of
  // `image` (null: all padding) in steps of `stride`; those from `begin` to `end` are inside.
  template <typename Row, typename Pixel>
  struct Span {
    Row* row;
    Pixel* image;
    int64_t begin, end, size, stride;
  };

  static void CopyRow(const Span<float, const float>& span) {
    std::fill(span.row, span.row + span.begin, 0.0F);
    if (span.stride == 1) {
      std::copy(span.image + span.begin, span.image + span.end, span.row + span.begin);
    } else {
      for (int64_t x = span.begin; x < span.end; ++x) span.row[x] = span.image[x * span.stride];
    }
    std::fill(span.row + span.end, span.row + span.size, 0.0F);
  }

  static void AddRow(const Span<float, float>& span) {
    for (int64_t x = span.begin; x < span.end; ++x) span.image[x * span.stride] += span.row[x];
  }

  template <typename Pixel>
  void ForEachRow(float* columns, Pixel* image, void (*visit)(const Span<float, Pixel>&)) const {
    const int64_t height = in_[1], width = in_[2];
    float* row = columns;
    for (int64_t c = 0; c < channels(); ++c) {
      for (int64_t ky = 0; ky < weight_[2]; ++ky) {
        for (int64_t kx = 0; kx < weight_[3]; ++kx) {
          const int64_t x0 = kx * ints_[kDilationW] - ints_[kPadW];
          const int64_t stride = ints_[kStrideW];
          // Results x with 0 <= x0 + x stride < width.
          const int64_t first = x0 >= 0 ? 0 : (-x0 + stride - 1) / stride;
          const int64_t last = x0 >= width ? 0 : (width - 1 - x0) / stride + 1;
          for (int64_t oy = 0; oy < out_[1]; ++oy, row += out_[2]) {
            const int64_t y = oy * ints_[kStrideH] + ky * ints_[kDilationH] - ints_[kPadH];
            const bool inside = y >= 0 && y < height;
            const int64_t end = inside ? std::min(last, out_[2]) : 0;
            const int64_t begin = std::min(first, end);
            visit({row, image + (c * height + (inside ? y : 0)) * width + x0, begin, end, out_[2],
                   stride});
          }
        }
      }
    }
  }

  const std::vector<int64_t> ints_;
  const int64_t groups_;
  const Shape in_;
  const Shape out_;
  const Shape weight_;
};

}  // namespace

std::unique_ptr<LayerOp> MakeConvOp(const LayerPlace& place) {
  if (place.layer.kind == LayerKind::kConv2d) return std::make_unique<ConvOp>(place);
  return nullptr;
}

}  // namespace fedwatt::portable
