#include <zstd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/centroid_table.h"
#include "common/codec/eden_kernels.h"
#include "common/codec/eden_stream.h"
#include "common/codec/varint.h"

namespace fedwatt {
namespace {

constexpr int kZstdLevel = 1;  // more is larger and slower on noise

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class LloydMaxWriter final : public EdenWriter {
 public:
  explicit LloydMaxWriter(int bits)
      : per_byte_(IndicesPerByte(bits)),
        quantizer_(bits),
        lookup_(bits),
        zstd_(ZSTD_createCCtx()) {}

  void Begin(size_t symbols) override { packed_.assign(symbols / per_byte_, 0); }

  double Quantize(std::span<const float> rotated, double gain, size_t at) override {
    const auto packed = std::span(packed_).subspan(at / per_byte_, rotated.size() / per_byte_);
    quantizer_.Quantize(rotated, static_cast<float>(gain), packed);
    values_.resize(rotated.size());
    lookup_.Values(packed, values_);
    return gain * DotKernel(values_.data(), rotated.data(), rotated.size());
  }

  void Finish(std::string* out) override {
    coded_.resize(ZSTD_compressBound(packed_.size()));
    size_t size = packed_.size();
    if (zstd_ != nullptr) {
      size = ZSTD_compressCCtx(zstd_.get(), coded_.data(), coded_.size(), packed_.data(),
                               packed_.size(), kZstdLevel);
    }
    const bool coded = ZSTD_isError(size) == 0 && size < packed_.size();
    const std::span<const uint8_t> body(coded ? coded_.data() : packed_.data(),
                                        coded ? size : packed_.size());
    AppendVarint(body.size(), out);
    out->append(reinterpret_cast<const char*>(body.data()), body.size());
  }

 private:
  const size_t per_byte_;
  const CentroidQuantizer quantizer_;
  const CentroidLookup lookup_;
  const std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_;
  std::vector<uint8_t> packed_;
  std::vector<uint8_t> coded_;
  std::vector<float> values_;
};

class LloydMaxReader final : public EdenReader {
 public:
  explicit LloydMaxReader(int bits)
      : per_byte_(IndicesPerByte(bits)), lookup_(bits), zstd_(ZSTD_createDCtx()) {}

  absl::Status Skip(std::span<const uint8_t>* bytes, std::span<const uint8_t>* stream) override {
    FW_ASSIGN_OR_RETURN(const uint64_t size, TakeVarint(bytes));
    if (size > bytes->size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("eden: a stream of ", size, " bytes where ", bytes->size(), " are left"));
    }
    *stream = bytes->first(size);
    *bytes = bytes->subspan(size);
    return absl::OkStatus();
  }

  absl::Status Load(std::span<const uint8_t> stream, size_t symbols) override {
    const size_t expected = symbols / per_byte_;
    packed_ = stream;
    if (stream.size() > expected) {
      return absl::InvalidArgumentError(absl::StrCat("eden: a stream of ", stream.size(),
                                                     " bytes for ", expected, " of indices"));
    }
    if (stream.size() != expected) {
      if (zstd_ == nullptr) return absl::ResourceExhaustedError("eden: no memory for zstd");
      unpacked_.resize(expected);
      const size_t size = ZSTD_decompressDCtx(zstd_.get(), unpacked_.data(), unpacked_.size(),
                                              stream.data(), stream.size());
      if (size != expected) {
        return absl::InvalidArgumentError(absl::StrCat(
            "eden: not the zstd frame of ", expected, " bytes of indices: ",
            ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : absl::StrCat(size, " bytes")));
      }
      packed_ = unpacked_;
    }
    if (!lookup_.Valid(packed_)) {
      return absl::InvalidArgumentError("eden: an index that names no centroid");
    }
    return absl::OkStatus();
  }

  void Values(size_t at, std::span<float> q) const override {
    lookup_.Values(packed_.subspan(at / per_byte_, q.size() / per_byte_), q);
  }

 private:
  const size_t per_byte_;
  const CentroidLookup lookup_;
  const std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd_;
  std::span<const uint8_t> packed_;  // the stream's own bytes, or unpacked_
  std::vector<uint8_t> unpacked_;
};

}  // namespace

std::unique_ptr<EdenWriter> MakeLloydMaxWriter(int bits) {
  return std::make_unique<LloydMaxWriter>(bits);
}

std::unique_ptr<EdenReader> MakeLloydMaxReader(int bits) {
  return std::make_unique<LloydMaxReader>(bits);
}

uint64_t MaxLloydMaxStreamBytes(int bits, uint64_t symbols) {
  return kMaxVarintBytes + symbols / IndicesPerByte(bits);
}

}  // namespace fedwatt
