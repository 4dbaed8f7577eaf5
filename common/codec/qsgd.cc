// `qsgd` (Alistarh, Grubic, Li, Tomioka, Vojnovic: "QSGD: communication-efficient SGD via gradient
// quantization and encoding", NeurIPS 2017), with buckets: in each, coordinates are rounded at
// random to one of their two neighbours among the multiples of ||bucket||_2 / levels, such that the
// mean is exact. Needs no rotation and no state; a spike spoils its own bucket only.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/codec/lattice_kernels.h"
#include "common/codec/symbol_coder.h"
#include "common/codec/symbol_kernels.h"
#include "common/codec/varint.h"

namespace fedwatt {
namespace {

constexpr char kName[] = "qsgd";
constexpr uint64_t kMaxBucket = uint64_t{1} << 20;  // coordinates
constexpr uint64_t kMaxLevels = 1023;
constexpr uint64_t kGroup = uint64_t{1} << 18;  // coordinates of a symbol stream
constexpr double kMaxAbs = 0x1p100;
constexpr float kMaxUnit = 0x1p111f;  // kMaxAbs in each coordinate of a bucket, on one level

uint64_t Parts(uint64_t count, uint64_t size) { return count / size + (count % size != 0 ? 1 : 0); }

// ||bucket||_2 / levels, rounded up so that no coordinate is beyond the last level.
float UnitOf(std::span<const float> bucket, uint64_t levels) {
  F32Scanner scanner;
  scanner.Add(bucket);
  const double unit = std::sqrt(scanner.Stats().sum_squares) / static_cast<double>(levels);
  const auto rounded = static_cast<float>(unit);
  return static_cast<double>(rounded) < unit
             ? std::nextafter(rounded, std::numeric_limits<float>::infinity())
             : rounded;
}

// 0 to levels with sign. The word decides: its upper 24 bits against the fraction.
int16_t LevelOf(float value, float unit, uint64_t levels, uint32_t word) {
  const float ratio = std::fabs(value) / unit;
  const float below = std::floor(ratio);
  const float chance = static_cast<float>(word >> 8) * 0x1p-24f;
  const int up = chance < ratio - below ? 1 : 0;
  const int level = std::min(static_cast<int>(below) + up, static_cast<int>(levels));
  return static_cast<int16_t>(value < 0 ? -level : level);
}

struct Header {
  uint64_t bucket = 0;
  uint64_t levels = 0;
};

class QsgdDecoder final : public Decoder {
 public:
  QsgdDecoder(uint64_t coordinates, const Header& header, std::span<const uint8_t> units,
              std::vector<std::span<const uint8_t>> groups)
      : Decoder(coordinates), header_(header), units_(units), groups_(std::move(groups)) {}

  absl::Status Read(uint64_t begin, std::span<float> out) override {
    FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
    while (!out.empty()) {
      const uint64_t group = begin / kGroup;
      FW_RETURN_IF_ERROR(Load(group));
      const uint64_t first = group * kGroup;
      const uint64_t end = std::min({first + levels_.size(), begin + out.size(),
                                     (begin / header_.bucket + 1) * header_.bucket});
      const std::span<float> part = out.first(end - begin);
      FW_ASSIGN_OR_RETURN(const float unit, Unit(begin / header_.bucket));
      FromMultiplesKernel(unit, levels_.data() + (begin - first), part.data(), part.size());
      out = out.subspan(part.size());
      begin = end;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Load(uint64_t group) {
    if (group == loaded_) return absl::OkStatus();
    loaded_ = kNone;
    levels_.resize(std::min(kGroup, coordinates() - group * kGroup));
    std::span<const uint8_t> stream = groups_[group];
    FW_RETURN_IF_ERROR(TakeSymbols(&stream, levels_));
    const auto [min, max] = SymbolRangeKernel(levels_.data(), levels_.size());
    const auto most = static_cast<int>(header_.levels);
    if (min < -most || max > most) {
      return absl::InvalidArgumentError(
          absl::StrCat(kName, ": level ", min < -most ? min : max, " of ", most));
    }
    loaded_ = group;
    return absl::OkStatus();
  }

  absl::StatusOr<float> Unit(uint64_t bucket) const {
    float unit;
    std::memcpy(&unit, units_.data() + bucket * sizeof(unit), sizeof(unit));
    if (unit >= 0 && unit <= kMaxUnit && !std::signbit(unit)) return unit;
    return absl::InvalidArgumentError(
        absl::StrCat(kName, ": the unit of bucket ", bucket, " is ", unit));
  }

  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  const Header header_;
  const std::span<const uint8_t> units_;
  const std::vector<std::span<const uint8_t>> groups_;
  std::vector<int16_t> levels_;
  uint64_t loaded_ = kNone;
};

class QsgdCodec final : public Codec {
 public:
  explicit QsgdCodec(const Header& header) : header_(header) {}

  CodecSpec spec() const override {
    return {kName,
            {{"bucket", absl::StrCat(header_.bucket)}, {"levels", absl::StrCat(header_.levels)}}};
  }

  CodecQuality quality() const override;

  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    // Units no more than coordinates, of 4 bytes, and symbols of 2.
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    if (coordinates > kMax / 64) return kMax;
    return 2 * kMaxVarintBytes + Parts(coordinates, header_.bucket) * sizeof(float) +
           Parts(coordinates, kGroup) * MaxSymbolBytes(0) + 2 * coordinates;
  }

  absl::Status Encode(std::span<const float> values, const CodecContext& context,
                      std::string* out) const override;

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override;

 private:
  const Header header_;
};

// With z standard normal and u the unit, level k of s has the chance E max(0, 1 - | |z|/u - k |),
// and rounding adds u^2 E f (1 - f), f the fraction of |z|/u.
CodecQuality QsgdCodec::quality() const {
  constexpr int kSteps = 1 << 17;
  constexpr double kEnd = 10;
  constexpr double kInvSqrt2Pi = 0.3989422804014327;
  const double unit =
      std::sqrt(static_cast<double>(header_.bucket)) / static_cast<double>(header_.levels);
  std::vector<double> chances(static_cast<size_t>(kEnd / unit) + 2);  // of |level|
  double variance = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double z = (i + 0.5) * kEnd / kSteps;
    const double mass = 2 * kInvSqrt2Pi * std::exp(-z * z / 2) * kEnd / kSteps;
    const double ratio = z / unit;
    const auto below = static_cast<size_t>(ratio);
    const double fraction = ratio - static_cast<double>(below);
    chances[below] += mass * (1 - fraction);
    chances[below + 1] += mass * fraction;
    variance += mass * fraction * (1 - fraction);
  }
  CodecQuality quality{8.0 * sizeof(float) / static_cast<double>(header_.bucket),
                       unit * unit * variance};
  for (size_t level = 0; level < chances.size(); ++level) {
    if (chances[level] <= 0) continue;
    // Both signs of a level, but for 0, share its chance.
    quality.bits += chances[level] * ((level > 0 ? 1 : 0) - std::log2(chances[level]));
  }
  return quality;
}

absl::Status QsgdCodec::Encode(std::span<const float> values, const CodecContext& context,
                               std::string* out) const {
  FW_RETURN_IF_ERROR(CheckEncodable(kName, values, kMaxAbs));
  std::vector<float> units;
  units.reserve(Parts(values.size(), header_.bucket));
  for (uint64_t begin = 0; begin < values.size(); begin += header_.bucket) {
    const uint64_t count = std::min(header_.bucket, values.size() - begin);
    units.push_back(UnitOf(values.subspan(begin, count), header_.levels));
  }
  out->clear();
  AppendVarint(header_.bucket, out);
  AppendVarint(header_.levels, out);
  out->append(reinterpret_cast<const char*>(units.data()), units.size() * sizeof(float));
  Rng rng(RngKey{context.job, context.round, context.client,
                 absl::StrCat("codec.qsgd.", context.purpose), context.seed});
  std::vector<int16_t> levels;
  levels.reserve(std::min<uint64_t>(kGroup, values.size()));
  for (uint64_t begin = 0; begin < values.size(); begin += kGroup) {
    const uint64_t end = std::min<uint64_t>(begin + kGroup, values.size());
    levels.clear();
    for (uint64_t i = begin; i < end;) {
      const float unit = units[i / header_.bucket];
      const uint64_t bucket_end = std::min(end, (i / header_.bucket + 1) * header_.bucket);
      for (; i < bucket_end; ++i) {
        const uint32_t word = rng.NextU32();
        levels.push_back(unit == 0 ? int16_t{0} : LevelOf(values[i], unit, header_.levels, word));
      }
    }
    AppendSymbols(levels, out);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Decoder>> QsgdCodec::Open(std::span<const uint8_t> encoded,
                                                         uint64_t coordinates) const {
  Header header;
  FW_ASSIGN_OR_RETURN(header.bucket, TakeVarint(&encoded));
  FW_ASSIGN_OR_RETURN(header.levels, TakeVarint(&encoded));
  if (header.bucket == 0 || header.bucket > kMaxBucket || header.levels == 0 ||
      header.levels > kMaxLevels) {
    return absl::InvalidArgumentError(
        absl::StrCat(kName, ": buckets of ", header.bucket, ", ", header.levels, " levels"));
  }
  const uint64_t buckets = Parts(coordinates, header.bucket);
  if (buckets > encoded.size() / sizeof(float)) {
    return absl::InvalidArgumentError(
        absl::StrCat(kName, ": ", encoded.size(), " bytes for ", coordinates, " coordinates"));
  }
  const auto units = encoded.first(buckets * sizeof(float));
  encoded = encoded.subspan(units.size());
  std::vector<std::span<const uint8_t>> groups;
  for (uint64_t group = 0; group < Parts(coordinates, kGroup); ++group) {
    groups.emplace_back();
    FW_RETURN_IF_ERROR(SkipSymbols(&encoded, &groups.back()));
  }
  if (!encoded.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(kName, ": ", encoded.size(), " bytes too many"));
  }
  return std::make_unique<QsgdDecoder>(coordinates, header, units, std::move(groups));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeQsgdCodec(const CodecSpec& spec) {
  CodecParams params(spec);
  Header header;
  FW_ASSIGN_OR_RETURN(header.bucket, params.Integer("bucket", 512, 1, kMaxBucket));
  FW_ASSIGN_OR_RETURN(header.levels, params.Integer("levels", 15, 1, kMaxLevels));
  FW_RETURN_IF_ERROR(params.Finish());
  return std::make_unique<QsgdCodec>(header);
}

}  // namespace fedwatt
