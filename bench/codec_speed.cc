#include "bench/codec_speed.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/aligned_array.h"
#include "bench/limits.h"
#include "bench/take_turns.h"
#include "bench/test_vectors.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/codec/centroid_table.h"
#include "common/codec/codec.h"
#include "common/codec/rotation.h"
#include "common/codec/threshold.h"
#include "common/tensor/fixed_point.h"

namespace fedwatt::bench {
namespace {

constexpr char kGroup[] = "codecs, one core, GB/s of float32";
constexpr int kTurns = 15;
constexpr size_t kPiece = kMaxRotation;
constexpr size_t kVector = size_t{1} << 20;
constexpr size_t kLongVector = size_t{1} << 23;
constexpr double kFactor = 1e6;  // of the fold; its sums stay far from overflow

double GigabytesPerSecond(double bytes, double seconds) { return 1e-9 * bytes / seconds; }

void AddRate(const std::string& name, double bytes, double limit_bytes, const TurnSeconds& seconds,
             const char* limit_name, std::optional<Target> target, Table* table) {
  table->Add({.group = kGroup,
              .name = name,
              .value = GigabytesPerSecond(bytes, seconds.ours),
              .unit = "GB/s",
              .floor = GigabytesPerSecond(limit_bytes, seconds.limit),
              .floor_name = limit_name,
              .target = target});
}

Target AtLeast(double gigabytes) { return {Target::Kind::kValueAtLeast, gigabytes}; }

constexpr double FloatBytes(size_t values) {
  return static_cast<double>(values) * static_cast<double>(sizeof(float));
}

void BenchRotation(Table* table) {
  constexpr int kPasses = 40;
  const std::vector<float> values = Gaussian(kPiece);
  AlignedArray<float> in(kPiece), out(kPiece);
  AlignedArray<uint32_t> signs(SignWords(kPiece));
  SignKernel(1, 2, 0, signs.data(), signs.span().size());
  std::copy(values.begin(), values.end(), in.data());
  const auto copy = [&](const float* from, float* to, size_t n) {
    for (int i = 0; i < kPasses; ++i) {
      std::memcpy(to, from, n * sizeof(float));
      KeepMemory(to);
    }
  };
  const TurnSeconds up = TakeTurns(
      kTurns,
      [&] {
        for (int i = 0; i < kPasses; ++i) {
          HadamardUpKernel(in.data(), signs.data(), out.data(), kPiece);
          KeepMemory(out.data());
        }
      },
      [&] { copy(in.data(), out.data(), kPiece); });
  const TurnSeconds down = TakeTurns(
      kTurns,
      [&] {
        for (int i = 0; i < kPasses; ++i) {
          HadamardDownKernel(in.data(), signs.data(), 1.0f / 256, kPiece);
          KeepMemory(in.data());
        }
      },
      [&] { copy(in.data(), in.data() + kPiece / 2, kPiece / 2); });
  const double bytes = kPasses * FloatBytes(kPiece);
  AddRate("rotation, a pass of the encoder, 2^16", bytes, bytes, up, "copy, same memory",
          AtLeast(5), table);
  AddRate("rotation, a pass of the decoder, 2^16", bytes, bytes / 2, down, "copy, same memory",
          AtLeast(5), table);
}

// y += a x as the decoders fold: a block of x that stays in the cache, over all of y.
void AxpyBlocks(std::span<const float> block, std::span<float> y) {
  for (size_t begin = 0; begin < y.size(); begin += block.size()) {
    Axpy(1e-6f, block.data(), y.data() + begin, std::min(block.size(), y.size() - begin));
  }
  KeepMemory(y.data());
}

struct FoldMemory {
  AlignedArray<float> block{kPiece};
  AlignedArray<int64_t> sums{kVector};
  AlignedArray<float> y{kVector};  // what the limit adds to
};

void BenchLookup(FoldMemory* memory, Table* table) {
  constexpr int kBits = 4;
  constexpr int kPasses = 4;
  const CentroidLookup lookup(kBits);
  const std::vector<float> values = Gaussian(kVector);
  AlignedArray<uint8_t> packed(kVector / IndicesPerByte(kBits));
  CentroidQuantizer(kBits).Quantize(values, 1, packed.span());
  const size_t block_bytes = kPiece / IndicesPerByte(kBits);
  const TurnSeconds seconds = TakeTurns(
      kTurns,
      [&] {
        for (int pass = 0; pass < kPasses; ++pass) {
          for (size_t block = 0; block < kVector / kPiece; ++block) {
            lookup.Values(packed.span().subspan(block * block_bytes, block_bytes),
                          memory->block.span());
            FoldF32(memory->block.span(), kFactor,
                    memory->sums.span().subspan(block * kPiece, kPiece));
          }
          KeepMemory(memory->sums.data());
        }
      },
      [&] {
        for (int pass = 0; pass < kPasses; ++pass) {
          AxpyBlocks(memory->block.span(), memory->y.span());
        }
      });
  const double bytes = kPasses * FloatBytes(kVector);
  AddRate("4-bit table lookup + fold, 2^20", bytes, bytes, seconds, "axpy, same blocks", AtLeast(4),
          table);
}

// Open, decode and fold one update of 2^20 coordinates, block by block, as the server does.
absl::Status DecodeAndFold(const Codec& codec, std::span<const uint8_t> encoded,
                           FoldMemory* memory) {
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, codec.Open(encoded, kVector));
  for (size_t begin = 0; begin < kVector; begin += kPiece) {
    FW_RETURN_IF_ERROR(decoder->Read(begin, memory->block.span()));
    FoldF32(memory->block.span(), kFactor, memory->sums.span().subspan(begin, kPiece));
  }
  KeepMemory(memory->sums.data());
  return absl::OkStatus();
}

absl::Status BenchDecode(const std::string& spec, const std::vector<float>& values,
                         FoldMemory* memory, Table* table) {
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Codec> codec, MakeCodec(spec));
  CodecContext context;
  context.job = "bench";
  std::string encoded;
  absl::Status status = codec->Encode(values, context, &encoded);
  FW_RETURN_IF_ERROR(status);
  const TurnSeconds decode = TakeTurns(
      kTurns, [&] { status.Update(DecodeAndFold(*codec, AsBytes(encoded), memory)); },
      [&] { AxpyBlocks(memory->block.span(), memory->y.span()); });
  FW_RETURN_IF_ERROR(status);
  const double bytes = FloatBytes(kVector);
  AddRate(absl::StrCat("decode + fold, ", spec), bytes, bytes, decode, "axpy, same blocks",
          AtLeast(1), table);
  const TurnSeconds encode = TakeTurns(
      kTurns, [&] { status.Update(codec->Encode(values, context, &encoded)); },
      [&] { AxpyBlocks(memory->block.span(), memory->y.span()); });
  FW_RETURN_IF_ERROR(status);
  AddRate(absl::StrCat("encode, ", spec), bytes, bytes, encode, "axpy, same blocks", std::nullopt,
          table);
  return absl::OkStatus();
}

// Bytes moved: of the fold 20 a coordinate (4 read, 8 read and written), of axpy 12. Both in as
// much memory, beyond every cache.
void BenchRawFold(Table* table) {
  AlignedArray<float> x(kLongVector, 0.25f);
  AlignedArray<int64_t> sums(kLongVector);
  constexpr size_t kAxpyCoordinates = kLongVector * 12 / 8;
  AlignedArray<float> axpy_x(kAxpyCoordinates, 0.25f), axpy_y(kAxpyCoordinates);
  const TurnSeconds seconds = TakeTurns(
      kTurns,
      [&] {
        FoldF32(x.span(), kFactor, sums.span());
        KeepMemory(sums.data());
      },
      [&] {
        Axpy(1e-6f, axpy_x.data(), axpy_y.data(), kAxpyCoordinates);
        KeepMemory(axpy_y.data());
      });
  AddRate("raw_f32 fold, bytes moved (20 a value)", 5 * FloatBytes(kLongVector),
          3 * FloatBytes(kAxpyCoordinates), seconds, "axpy (12 a value)",
          Target{Target::Kind::kRatioAtLeast, 0.70}, table);
}

void BenchThreshold(Table* table) {
  const std::vector<float> values = Gaussian(kLongVector);
  AlignedArray<float> x(kLongVector), copy(kLongVector);
  std::copy(values.begin(), values.end(), x.data());
  const struct {
    const char* name;
    double fraction;
    std::optional<Target> target;
  } kShares[] = {{"0.1 %", 0.001, std::nullopt}, {"1 %", 0.01, AtLeast(5)}, {"10 %", 0.1, {}}};
  for (const auto& share : kShares) {
    const auto k = static_cast<uint64_t>(share.fraction * static_cast<double>(kLongVector));
    const TurnSeconds seconds = TakeTurns(
        kTurns,
        [&] {
          const MagnitudeThreshold threshold = FindThreshold(x.span(), k);
          KeepMemory(&threshold);
        },
        [&] {
          std::memcpy(copy.data(), x.data(), kLongVector * sizeof(float));
          KeepMemory(copy.data());
        });
    AddRate(absl::StrCat("top-k threshold, ", share.name, " of 2^23"), FloatBytes(kLongVector),
            FloatBytes(kLongVector), seconds, "copy, same vector", share.target, table);
  }
}

}  // namespace

absl::Status MeasureCodecSpeed(const Interrupt& interrupt, Table* table) {
  BenchRotation(table);
  FW_RETURN_IF_ERROR(interrupt.Check());
  FoldMemory memory;
  BenchLookup(&memory, table);
  const std::vector<float> values = Gaussian(kVector);
  for (const char* const mode : {"", ",mode=lloyd_max"}) {
    for (const char* const bits : {"0.5", "1", "2", "3", "4", "8"}) {
      if (*mode != '\0' && std::string(bits) == "0.5") continue;  // whole bits only
      FW_RETURN_IF_ERROR(interrupt.Check());
      FW_RETURN_IF_ERROR(
          BenchDecode(absl::StrCat("eden:bits=", bits, mode), values, &memory, table));
    }
  }
  BenchRawFold(table);
  FW_RETURN_IF_ERROR(interrupt.Check());
  BenchThreshold(table);
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
