#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/trainers/portable/gemm.h"
#include "client/trainers/portable/layer_op.h"

namespace fedwatt::portable {
namespace {

class LinearOp final : public LayerOp {
 public:
  explicit LinearOp(const LayerPlace& place)
      : in_(place.in[0].back()),
        out_(place.out.back()),
        rows_(ElementsOf(place.in[0]) / static_cast<uint64_t>(in_)) {}

  absl::Status Forward(const LayerIo& io) override {
    const uint64_t rows = io.n * rows_;
    Gemm({static_cast<int64_t>(rows), out_, in_}, Operand::kPlain, io.in[0], Operand::kTransposed,
         io.tensors[0], false, io.out);
    if (io.tensors[1] == nullptr) return absl::OkStatus();
    for (uint64_t row = 0; row < rows; ++row) {
      float* out = io.out + row * static_cast<uint64_t>(out_);
      for (int64_t j = 0; j < out_; ++j) out[j] += io.tensors[1][j];
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    const auto rows = static_cast<int64_t>(io.n * rows_);
    if (io.tensor_grads[0] != nullptr) {
      Gemm({out_, in_, rows}, Operand::kTransposed, io.out_grad, Operand::kPlain, io.in[0], true,
           io.tensor_grads[0]);
    }
    if (io.tensor_grads[1] != nullptr) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t j = 0; j < out_; ++j) io.tensor_grads[1][j] += io.out_grad[row * out_ + j];
      }
    }
    if (io.in_grad[0] != nullptr) {
      Gemm({rows, in_, out_}, Operand::kPlain, io.out_grad, Operand::kPlain, io.tensors[0], true,
           io.in_grad[0]);
    }
    return absl::OkStatus();
  }

 private:
  const int64_t in_;
  const int64_t out_;
  const uint64_t rows_;  // of one example
};

class EmbeddingOp final : public LayerOp {
 public:
  explicit EmbeddingOp(const LayerPlace& place)
      : words_(place.tensors[place.layer.tensors[0]].shape[0]),
        width_(static_cast<uint64_t>(place.out.back())),
        positions_(ElementsOf(place.in[0])),
        padding_(place.layer.ints[0]) {}

  absl::Status Forward(const LayerIo& io) override {
    for (uint64_t i = 0; i < io.n * positions_; ++i) {
      const int64_t word = io.words[i];
      if (word < 0 || word >= words_) {
        return absl::InvalidArgumentError(absl::StrCat(
            "an example holds the code ", word, "; the model's embedding has 0 to ", words_ - 1));
      }
      std::memcpy(io.out + i * width_, io.tensors[0] + static_cast<uint64_t>(word) * width_,
                  width_ * sizeof(float));
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const LayerIo& io) override {
    if (io.tensor_grads[0] == nullptr) return absl::OkStatus();
    for (uint64_t i = 0; i < io.n * positions_; ++i) {
      if (io.words[i] == padding_) continue;
      float* grad = io.tensor_grads[0] + static_cast<uint64_t>(io.words[i]) * width_;
      for (uint64_t j = 0; j < width_; ++j) grad[j] += io.out_grad[i * width_ + j];
    }
    return absl::OkStatus();
  }

 private:
  const int64_t words_;
  const uint64_t width_;
  const uint64_t positions_;
  const int64_t padding_;
};

}  // namespace

std::unique_ptr<LayerOp> MakeDenseOp(const LayerPlace& place) {
  if (place.layer.kind == LayerKind::kLinear) return std::make_unique<LinearOp>(place);
  if (place.layer.kind == LayerKind::kEmbedding) return std::make_unique<EmbeddingOp>(place);
  return nullptr;
}

std::unique_ptr<LayerOp> MakeLayerOp(const LayerPlace& place) {
  for (const auto make : {MakeDenseOp, MakeConvOp, MakeNormOp, MakePoolOp}) {
    if (std::unique_ptr<LayerOp> op = make(place)) return op;
  }
  return MakePointwiseOp(place);
}

}  // namespace fedwatt::portable
