#include "common/codec/eden_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/eden_format.h"
#include "common/codec/eden_layout.h"
#include "common/codec/eden_stream.h"

namespace fedwatt {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

// Sums of floats stray from the exact norm by far less.
constexpr double kRoundingMargin = 1 + 0x1p-10;

float FloatAt(std::span<const uint8_t> bytes, uint64_t index) {
  float value;
  std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
  return value;
}

absl::Status CheckScales(std::span<const uint8_t> scales) {
  for (uint64_t i = 0; i < scales.size() / sizeof(float); ++i) {
    const float scale = FloatAt(scales, i);
    if (!(scale >= 0 && scale <= kMaxEdenScale)) {
      return absl::InvalidArgumentError(
          absl::StrCat("eden: the scale of piece ", i, " is ", scale, ", not 0 to 2^100"));
    }
  }
  return absl::OkStatus();
}

class EdenDecoder final : public Decoder {
 public:
  EdenDecoder(const EdenHeader& header, uint64_t coordinates, std::span<const uint8_t> scales,
              std::unique_ptr<EdenReader> reader, std::vector<std::span<const uint8_t>> streams)
      : Decoder(coordinates),
        slots_per_stream_(header.slots_per_stream),
        scales_(scales),
        streams_(std::move(streams)),
        reader_(std::move(reader)),
        rotation_(header.seed) {}

  absl::Status Read(uint64_t begin, std::span<float> out) override {
    FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
    while (!out.empty()) {
      const uint64_t slot = begin / kSlotSize;
      for (const EdenPiece& piece : EdenSlotAt(coordinates(), slot)) {
        if (out.empty() || begin >= piece.begin + piece.size) continue;
        const size_t skip = static_cast<size_t>(begin - piece.begin);
        const size_t count = std::min(out.size(), piece.size - skip);
        FW_RETURN_IF_ERROR(ReadPart(slot, piece, skip, out.first(count)));
        begin += count;
        out = out.subspan(count);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<F32Stats> Scan() override {
    F32Stats stats;
    const uint64_t slots = EdenSlots(coordinates());
    for (uint64_t slot = 0; slot < slots; ++slot) {
      FW_RETURN_IF_ERROR(LoadStreamOf(slot));
      for (const EdenPiece& piece : EdenSlotAt(coordinates(), slot)) {
        const double squares = SumSquares(slot, piece);
        stats.sum_squares += squares;
        const auto bound = static_cast<float>(std::sqrt(squares) * kRoundingMargin);
        stats.max_abs = std::max(stats.max_abs, bound);
      }
    }
    return stats;
  }

 private:
  float ScaleOf(const EdenPiece& piece) const { return FloatAt(scales_, piece.index); }

  size_t SymbolOf(uint64_t slot, const EdenPiece& piece) const {
    return static_cast<size_t>(slot % slots_per_stream_ * kSlotSize) + piece.offset;
  }

  absl::Status LoadStreamOf(uint64_t slot) {
    const uint64_t stream = slot / slots_per_stream_;
    if (stream == loaded_) return absl::OkStatus();
    loaded_ = kNone;
    const uint64_t first = stream * slots_per_stream_;
    FW_RETURN_IF_ERROR(
        reader_->Load(streams_[stream], EdenSymbols(coordinates(), first, slots_per_stream_)));
    loaded_ = stream;
    return absl::OkStatus();
  }

  // out.size() is piece.padded; the stream is loaded.
  void Decode(uint64_t slot, const EdenPiece& piece, std::span<float> out) {
    const float scale = ScaleOf(piece);
    if (scale == 0) {
      std::fill(out.begin(), out.end(), 0.0f);
      return;
    }
    reader_->Values(SymbolOf(slot, piece), out);
    rotation_.Inverse(piece.index, scale / static_cast<float>(piece.padded), out);
  }

  void DecodeToCache(uint64_t slot, const EdenPiece& piece) {
    if (cached_ == piece.index) return;
    cache_.resize(piece.padded);
    Decode(slot, piece, cache_);
    cached_ = piece.index;
  }

  absl::Status ReadPart(uint64_t slot, const EdenPiece& piece, size_t skip, std::span<float> out) {
    if (cached_ != piece.index) {
      FW_RETURN_IF_ERROR(LoadStreamOf(slot));
      if (out.size() == piece.padded) {
        Decode(slot, piece, out);
        return absl::OkStatus();
      }
      DecodeToCache(slot, piece);
    }
    std::copy_n(cache_.data() + skip, out.size(), out.data());
    return absl::OkStatus();
  }

  // Of the decoded piece. The padding of the last is not part of it, so that one is decoded.
  double SumSquares(uint64_t slot, const EdenPiece& piece) {
    F32Scanner scanner;
    const double scale = static_cast<double>(ScaleOf(piece));
    if (piece.size != piece.padded) {
      DecodeToCache(slot, piece);
      scanner.Add(std::span(cache_).first(piece.size));
      return scanner.Stats().sum_squares;
    }
    if (scale == 0) return 0;
    cached_ = kNone;
    cache_.resize(piece.padded);
    reader_->Values(SymbolOf(slot, piece), cache_);
    scanner.Add(cache_);
    return scale * scale * scanner.Stats().sum_squares;
  }

  const uint64_t slots_per_stream_;
  const std::span<const uint8_t> scales_;
  const std::vector<std::span<const uint8_t>> streams_;
  const std::unique_ptr<EdenReader> reader_;
  Rotation rotation_;
  uint64_t loaded_ = kNone;  // the stream that reader_ holds
  uint64_t cached_ = kNone;  // the piece that cache_ holds
  std::vector<float> cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Decoder>> OpenEden(std::span<const uint8_t> encoded,
                                                  uint64_t coordinates) {
  FW_ASSIGN_OR_RETURN(const EdenHeader header, TakeEdenHeader(&encoded));
  const uint64_t pieces = EdenPieces(coordinates);
  if (pieces > encoded.size() / sizeof(float)) {
    return absl::InvalidArgumentError(absl::StrCat("eden: ", encoded.size(), " bytes after the ",
                                                   "header for the scales of ", pieces, " pieces, ",
                                                   coordinates, " coordinates"));
  }
  const std::span<const uint8_t> scales = encoded.first(pieces * sizeof(float));
  encoded = encoded.subspan(scales.size());
  FW_RETURN_IF_ERROR(CheckScales(scales));
  std::unique_ptr<EdenReader> reader =
      header.mode == EdenMode::kUniform ? MakeUniformReader() : MakeLloydMaxReader(header.bits);
  std::vector<std::span<const uint8_t>> streams;
  for (uint64_t slot = 0; slot < EdenSlots(coordinates); slot += header.slots_per_stream) {
    streams.emplace_back();
    FW_RETURN_IF_ERROR(reader->Skip(&encoded, &streams.back()));
  }
  if (!encoded.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("eden: ", encoded.size(), " bytes behind the last stream"));
  }
  return std::make_unique<EdenDecoder>(header, coordinates, scales, std::move(reader),
                                       std::move(streams));
}

}  // namespace fedwatt
