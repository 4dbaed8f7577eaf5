#include <algorithm>
#include <vector>

#include "common/codec/eden_kernels.h"
#include "common/codec/eden_stream.h"
#include "common/codec/symbol_coder.h"

namespace fedwatt {
namespace {

class UniformWriter final : public EdenWriter {
 public:
  explicit UniformWriter(double step) : step_(step) {}

  void Begin(size_t symbols) override { symbols_.assign(symbols, 0); }

  double Quantize(std::span<const float> rotated, double gain, size_t at) override {
    const double product = QuantizeWithStep(rotated, gain, step_, at);
    if (product > 0) return product;
    // All within half a wide step of zero, as happens to few coordinates. As the mean square is 1,
    // the greatest is at least 1, and a step of 1 reaches it.
    return QuantizeWithStep(rotated, gain, 1, at);
  }

  void Finish(std::string* out) override { AppendSymbols(symbols_, out); }

 private:
  double QuantizeWithStep(std::span<const float> rotated, double gain, double step, size_t at) {
    const auto scale = static_cast<float>(gain / step);
    return step * QuantizeKernel(rotated.data(), scale, symbols_.data() + at, rotated.size());
  }

  const double step_;
  std::vector<int16_t> symbols_;
};

class UniformReader final : public EdenReader {
 public:
  absl::Status Skip(std::span<const uint8_t>* bytes, std::span<const uint8_t>* stream) override {
    return SkipSymbols(bytes, stream);
  }

  absl::Status Load(std::span<const uint8_t> stream, size_t symbols) override {
    symbols_.resize(symbols);
    return TakeSymbols(&stream, symbols_);
  }

  void Values(size_t at, std::span<float> q) const override {
    ToFloatKernel(symbols_.data() + at, q.data(), q.size());
  }

 private:
  std::vector<int16_t> symbols_;
};

}  // namespace

std::unique_ptr<EdenWriter> MakeUniformWriter(double step) {
  return std::make_unique<UniformWriter>(step);
}

std::unique_ptr<EdenReader> MakeUniformReader() { return std::make_unique<UniformReader>(); }

}  // namespace fedwatt
