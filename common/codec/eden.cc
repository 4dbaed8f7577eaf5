// `eden`: rotate, quantise, send indices and one scale a piece (Vargaftik et al., "EDEN:
// Communication-Efficient and Robust Distributed Mean Estimation", ICML 2022).
//
// With r the rotated piece and Q its quantised values the scale is ||x||^2 / <Q, r>, which makes
// the decoded vector unbiased over rotations.

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/codec/centroids.h"
#include "common/codec/codec.h"
#include "common/codec/eden_decoder.h"
#include "common/codec/eden_format.h"
#include "common/codec/eden_layout.h"
#include "common/codec/eden_rate.h"
#include "common/codec/symbol_coder.h"

namespace fedwatt {
namespace {

constexpr double kMinBits = 0.5;
constexpr double kMaxBits = 8;

// With these two every product and every scale is a normal float, and no sum overflows.
constexpr double kMaxAbs = 0x1p80;
constexpr double kMinNorm = 0x1p-80;

// The table and the states of a stream cost some 50 bytes: 0.3 % of 2^18 symbols at half a bit.
// More symbols would cost the decoder its cache.
constexpr uint64_t kSlotsPerStream = 4;
constexpr uint64_t kSlotsPerSparseStream = 8;
constexpr double kSparseBits = 1;

class EdenEncoder {
 public:
  EdenEncoder(const EdenHeader& header, std::unique_ptr<EdenWriter> writer)
      : header_(header), writer_(std::move(writer)), rotation_(header.seed) {}

  absl::Status Encode(std::span<const float> values, std::string* out) {
    out->clear();
    AppendEdenHeader(header_, out);
    const size_t scales = out->size();
    out->append(EdenPieces(values.size()) * sizeof(float), '\0');
    const uint64_t slots = EdenSlots(values.size());
    for (uint64_t slot = 0; slot < slots; ++slot) {
      const uint64_t in_stream = slot % header_.slots_per_stream;
      if (in_stream == 0) {
        writer_->Begin(EdenSymbols(values.size(), slot, header_.slots_per_stream));
      }
      for (const EdenPiece& piece : EdenSlotAt(values.size(), slot)) {
        FW_ASSIGN_OR_RETURN(const float scale, EncodePiece(values, piece, in_stream));
        std::memcpy(out->data() + scales + piece.index * sizeof(scale), &scale, sizeof(scale));
      }
      if (in_stream + 1 == header_.slots_per_stream || slot + 1 == slots) writer_->Finish(out);
    }
    return absl::OkStatus();
  }

 private:
  // Returns the piece's scale.
  absl::StatusOr<float> EncodePiece(std::span<const float> values, const EdenPiece& piece,
                                    uint64_t slot_in_stream) {
    std::span<const float> x = values.subspan(piece.begin, piece.size);
    F32Scanner scanner;
    scanner.Add(x);
    const F32Stats stats = scanner.Stats();
    if (!stats.finite || static_cast<double>(stats.max_abs) > kMaxAbs) {
      return CheckEncodable("eden", values, kMaxAbs);
    }
    const double norm = std::sqrt(stats.sum_squares);
    if (norm < kMinNorm) return 0.0f;
    if (piece.size != piece.padded) {
      padded_.assign(x.begin(), x.end());
      padded_.resize(piece.padded);
      x = padded_;
    }
    rotated_.resize(piece.padded);
    rotation_.Forward(piece.index, x, rotated_);
    const double root = std::sqrt(static_cast<double>(piece.padded));
    // rotated_ is d r, so z = r sqrt(d) / ||x||.
    const double gain = 1 / (root * norm);
    const size_t at = static_cast<size_t>(slot_in_stream * kSlotSize) + piece.offset;
    // ||x||^2 / <Q, r> with <Q, r> = <Q, z> ||x|| / sqrt(d).
    return static_cast<float>(norm * root / writer_->Quantize(rotated_, gain, at));
  }

  const EdenHeader header_;
  const std::unique_ptr<EdenWriter> writer_;
  Rotation rotation_;
  std::vector<float> padded_;
  std::vector<float> rotated_;
};

class EdenCodec : public Codec {
 public:
  absl::Status Encode(std::span<const float> values, const CodecContext& context,
                      std::string* out) const override {
    const Rng rng(RngKey{context.job, context.round, context.client,
                         absl::StrCat("codec.eden.", context.purpose), context.seed});
    EdenHeader header = Header();
    header.seed = {rng.state().key, rng.state().stream};
    return EdenEncoder(header, MakeWriter()).Encode(values, out);
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    return OpenEden(encoded, coordinates);
  }

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    if (coordinates > kMax / 16) return kMax;
    const uint64_t per_stream = Header().slots_per_stream;
    const uint64_t whole = EdenSlots(coordinates) / per_stream;
    const uint64_t rest = EdenSymbols(coordinates, whole * per_stream, per_stream);
    return kEdenHeaderBytes + EdenPieces(coordinates) * sizeof(float) +
           whole * MaxStreamBytes(per_stream * kSlotSize) + (rest > 0 ? MaxStreamBytes(rest) : 0);
  }

 private:
  virtual EdenHeader Header() const = 0;  // without the seed
  virtual std::unique_ptr<EdenWriter> MakeWriter() const = 0;
  virtual uint64_t MaxStreamBytes(uint64_t symbols) const = 0;
};

class UniformEdenCodec final : public EdenCodec {
 public:
  explicit UniformEdenCodec(double bits)
      : bits_(bits), step_(UniformStepFor(bits)), vnmse_(RateOfUniformStep(step_).vnmse) {}

  CodecSpec spec() const override {
    return {"eden", {{"bits", absl::StrCat(bits_)}, {"mode", "uniform"}}};
  }

  CodecQuality quality() const override { return {bits_ * 1.003, vnmse_}; }

 private:
  EdenHeader Header() const override {
    EdenHeader header;
    header.mode = EdenMode::kUniform;
    header.slots_per_stream = bits_ < kSparseBits ? kSlotsPerSparseStream : kSlotsPerStream;
    return header;
  }

  std::unique_ptr<EdenWriter> MakeWriter() const override { return MakeUniformWriter(step_); }
  uint64_t MaxStreamBytes(uint64_t symbols) const override { return MaxSymbolBytes(symbols); }

  const double bits_;
  const double step_;
  const double vnmse_;
};

class LloydMaxEdenCodec final : public EdenCodec {
 public:
  explicit LloydMaxEdenCodec(int bits) : bits_(bits) {}

  CodecSpec spec() const override {
    return {"eden", {{"bits", absl::StrCat(bits_)}, {"mode", "lloyd_max"}}};
  }

  CodecQuality quality() const override { return kQuality[static_cast<size_t>(bits_ - 1)]; }

 private:
  // Bits as coded by zstd; vnmse is 1 / E[c^2] - 1, c the centroid of a Gaussian value.
  static constexpr std::array<CodecQuality, kMaxCentroidBits> kQuality = {{
      {1.001, 0.570796},
      {1.929, 0.133121},
      {2.838, 0.035784},
      {3.783, 0.00959214},
      {4.773, 0.00251096},
      {5.753, 0.000644655},
      {6.743, 0.000163505},
      {8.001, 4.11868e-05},
  }};

  EdenHeader Header() const override {
    EdenHeader header;
    header.mode = EdenMode::kLloydMax;
    header.bits = bits_;
    header.slots_per_stream = kSlotsPerStream;
    return header;
  }

  std::unique_ptr<EdenWriter> MakeWriter() const override { return MakeLloydMaxWriter(bits_); }
  uint64_t MaxStreamBytes(uint64_t symbols) const override {
    return MaxLloydMaxStreamBytes(bits_, symbols);
  }

  const int bits_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeEdenCodec(const CodecSpec& spec) {
  static constexpr const char* kModes[] = {"uniform", "lloyd_max"};
  CodecParams params(spec);
  FW_ASSIGN_OR_RETURN(const std::string mode, params.Word("mode", kModes[0], kModes));
  if (mode == "lloyd_max") {
    FW_ASSIGN_OR_RETURN(const int bits, params.Integer("bits", 2, 1, kMaxCentroidBits));
    FW_RETURN_IF_ERROR(params.Finish());
    return std::make_unique<LloydMaxEdenCodec>(bits);
  }
  FW_ASSIGN_OR_RETURN(const double bits, params.Number("bits", 2, kMinBits, kMaxBits));
  FW_RETURN_IF_ERROR(params.Finish());
  return std::make_unique<UniformEdenCodec>(bits);
}

}  // namespace fedwatt
