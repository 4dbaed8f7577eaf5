// `powersgd` (Vogels, Karimireddy, Jaggi, 2019): each matrix as the product of two of low rank;
// what is no matrix as it is. powersgd_layout.h has the format.

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/codec/half_kernels.h"
#include "common/codec/powersgd_factors.h"
#include "common/codec/powersgd_kernels.h"
#include "common/codec/powersgd_layout.h"
#include "common/codec/varint.h"
#include "common/tensor/half_float.h"

namespace fedwatt {
namespace {

constexpr char kName[] = "powersgd";
constexpr int kDefaultRank = 4;
// Vectors a power of two apart would all fall into the same few places of a cache.
constexpr uint64_t kStridePadding = 16;
constexpr double kMaxValue = 0x1p60;  // keeps the sums over rows and columns within float32

class PowerSgdDecoder final : public Decoder {
 public:
  PowerSgdDecoder(PowerSgdLayout layout, std::span<const uint8_t> encoded, uint64_t coordinates)
      : Decoder(coordinates), layout_(std::move(layout)), encoded_(encoded) {}

  absl::Status Read(uint64_t begin, std::span<float> out) override {
    FW_RETURN_IF_ERROR(CheckRange(begin, out.size()));
    const auto& matrices = layout_.matrices;
    // The first that does not end before `begin`; the last, which is empty, if there is none.
    auto matrix = std::upper_bound(
        matrices.begin(), matrices.end() - 1, begin,
        [](uint64_t coordinate, const FactoredMatrix& m) { return coordinate < m.end(); });
    for (size_t done = 0; done < out.size(); ++matrix) {
      done += CopyRaw(*matrix, begin + done, out.subspan(done));
      if (done < out.size()) done += Expand(*matrix, begin + done, out.subspan(done));
    }
    return absl::OkStatus();
  }

 private:
  // Values before the matrix, from `begin` on.
  size_t CopyRaw(const FactoredMatrix& matrix, uint64_t begin, std::span<float> out) const {
    if (begin >= matrix.shape.offset) return 0;
    const uint64_t left = matrix.shape.offset - begin;
    const size_t count = std::min<uint64_t>(left, out.size());
    std::memcpy(out.data(), encoded_.data() + matrix.data - left * sizeof(float),
                count * sizeof(float));
    return count;
  }

  // Values of the matrix, from `begin` on.
  size_t Expand(const FactoredMatrix& matrix, uint64_t begin, std::span<float> out) {
    LoadColumns(matrix);
    const uint64_t columns = matrix.shape.columns;
    const uint64_t from = begin - matrix.shape.offset;
    uint64_t row = from / columns;
    uint64_t column = from % columns;
    float p[kMaxPowerSgdRank];
    size_t done = 0;
    for (; done < out.size() && row < matrix.shape.rows; ++row, column = 0) {
      for (uint64_t k = 0; k < layout_.rank; ++k) {
        uint16_t bits;
        std::memcpy(&bits,
                    encoded_.data() + matrix.data + (k * matrix.shape.rows + row) * kFactorBytes,
                    kFactorBytes);
        p[k] = BF16ToF32(bits);
      }
      const size_t count = std::min<uint64_t>(columns - column, out.size() - done);
      ExpandRow(std::span(p, layout_.rank), q_.data() + column, stride_, out.subspan(done, count));
      done += count;
    }
    return done;
  }

  void LoadColumns(const FactoredMatrix& matrix) {
    if (loaded_ == matrix.data) return;
    const uint64_t columns = matrix.shape.columns;
    const uint8_t* bytes =
        encoded_.data() + matrix.data + layout_.rank * matrix.shape.rows * kFactorBytes;
    stride_ = columns + kStridePadding;
    q_.resize(layout_.rank * stride_);
    std::vector<uint16_t> halves(columns);  // through a copy: bytes need not be aligned
    for (uint64_t k = 0; k < layout_.rank; ++k, bytes += columns * kFactorBytes) {
      std::memcpy(halves.data(), bytes, columns * kFactorBytes);
      BF16ToF32(halves, q_.data() + k * stride_);
    }
    loaded_ = matrix.data;
  }

  const PowerSgdLayout layout_;
  const std::span<const uint8_t> encoded_;
  std::vector<float> q_;
  uint64_t stride_ = 0;  // of the vectors in q_
  uint64_t loaded_ = 0;  // data of the matrix that q_ is of
};

class PowerSgdCodec final : public Codec {
 public:
  explicit PowerSgdCodec(uint64_t rank) : rank_(rank) {}

  CodecSpec spec() const override { return {kName, {{"rank", absl::StrCat(rank_)}}}; }
  bool needs_error_feedback() const override { return true; }

  CodecQuality quality() const override {
    // Of 1024 x 1024 Gaussian values, measured: they have no low rank, so that this is the worst
    // that it can be.
    const auto rank = static_cast<double>(rank_);
    return {rank * (2 * 8 * kFactorBytes) / 1024, 1 - rank * (2.838e-3 - 5.61e-6 * rank)};
  }

  // A factored matrix with its entry in the list is never larger than its values.
  uint64_t MaxEncodedBytes(uint64_t coordinates) const override {
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    constexpr uint64_t kHeader = 1 + kMaxVarintBytes;
    if (coordinates > (kMax - kHeader) / sizeof(float)) return kMax;
    return coordinates * sizeof(float) + kHeader;
  }

  absl::Status Encode(std::span<const float> values, const CodecContext& context,
                      std::string* out) const override {
    FW_RETURN_IF_ERROR(CheckEncodable(kName, values, kMaxValue));
    FW_ASSIGN_OR_RETURN(const std::vector<MatrixShape> matrices,
                        MatricesToFactor(context.matrices, rank_, values.size()));
    out->clear();
    AppendPowerSgdHeader(rank_, matrices, out);
    Rng rng(RngKey{context.job, context.round, context.client,
                   absl::StrCat("codec.powersgd.", context.purpose), context.seed});
    uint64_t begin = 0;
    for (const MatrixShape& matrix : matrices) {
      Append(values.subspan(begin, matrix.offset - begin), out);
      const FactorShape shape = {matrix.rows, matrix.columns, rank_};
      const Factors factors = FactorMatrix(values.data() + matrix.offset, shape, &rng);
      Append(std::span(factors.p), out);
      Append(std::span(factors.q), out);
      begin = matrix.offset + matrix.rows * matrix.columns;
    }
    Append(values.subspan(begin), out);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Decoder>> Open(std::span<const uint8_t> encoded,
                                                uint64_t coordinates) const override {
    FW_ASSIGN_OR_RETURN(PowerSgdLayout layout, ReadPowerSgdLayout(encoded, coordinates));
    return std::make_unique<PowerSgdDecoder>(std::move(layout), encoded, coordinates);
  }

 private:
  template <typename T>
  static void Append(std::span<T> values, std::string* out) {
    out->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }

  const uint64_t rank_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakePowerSgdCodec(const CodecSpec& spec) {
  CodecParams params(spec);
  FW_ASSIGN_OR_RETURN(const int rank, params.Integer("rank", kDefaultRank, 1, kMaxPowerSgdRank));
  FW_RETURN_IF_ERROR(params.Finish());
  return std::make_unique<PowerSgdCodec>(static_cast<uint64_t>(rank));
}

}  // namespace fedwatt
