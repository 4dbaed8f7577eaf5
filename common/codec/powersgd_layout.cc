#include "common/codec/powersgd_layout.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/codec/varint.h"

namespace fedwatt {
namespace {

absl::Status Refuse(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("powersgd: ", why));
}

bool IsSmallerFactored(const MatrixShape& matrix, uint64_t rank) {
  return rank * (matrix.rows + matrix.columns) < matrix.rows * matrix.columns;
}

bool Fits(const MatrixShape& matrix, uint64_t begin, uint64_t coordinates) {
  return matrix.offset >= begin && matrix.offset <= coordinates && matrix.rows > 0 &&
         matrix.columns > 0 && matrix.columns <= (coordinates - matrix.offset) / matrix.rows;
}

MatrixShape NearlySquare(uint64_t coordinates) {
  const auto columns = static_cast<uint64_t>(std::sqrt(static_cast<double>(coordinates)));
  return {0, coordinates / columns, columns};
}

// Moves *bytes behind the matrix's entry.
absl::StatusOr<MatrixShape> TakeMatrix(std::span<const uint8_t>* bytes, uint64_t rank,
                                       uint64_t begin, uint64_t coordinates) {
  MatrixShape matrix;
  FW_ASSIGN_OR_RETURN(const uint64_t skip, TakeVarint(bytes));
  FW_ASSIGN_OR_RETURN(matrix.rows, TakeVarint(bytes));
  FW_ASSIGN_OR_RETURN(matrix.columns, TakeVarint(bytes));
  // Each row and column costs bytes, which also keeps the arithmetic below from overflowing.
  if (skip > coordinates - begin || matrix.rows > bytes->size() || matrix.columns > bytes->size()) {
    return Refuse("a matrix is larger than the encoding");
  }
  matrix.offset = begin + skip;
  if (!Fits(matrix, begin, coordinates) || !IsSmallerFactored(matrix, rank)) {
    return Refuse(absl::StrCat("a matrix of ", matrix.rows, " x ", matrix.columns, " from ",
                               matrix.offset, " on of ", coordinates, " coordinates cannot be"));
  }
  return matrix;
}

}  // namespace

absl::StatusOr<std::vector<MatrixShape>> MatricesToFactor(std::span<const MatrixShape> matrices,
                                                          uint64_t rank, uint64_t coordinates) {
  std::vector<MatrixShape> chosen;
  if (matrices.empty() && coordinates > 0) {
    const MatrixShape whole = NearlySquare(coordinates);
    if (IsSmallerFactored(whole, rank)) chosen.push_back(whole);
  }
  uint64_t begin = 0;
  for (const MatrixShape& matrix : matrices) {
    if (!Fits(matrix, begin, coordinates)) {
      return Refuse(absl::StrCat("the matrix of ", matrix.rows, " x ", matrix.columns, " from ",
                                 matrix.offset, " on is not within coordinates ", begin, " to ",
                                 coordinates));
    }
    begin = matrix.offset + matrix.rows * matrix.columns;
    if (IsSmallerFactored(matrix, rank) && chosen.size() < bounds::kMaxTensors) {
      chosen.push_back(matrix);
    }
  }
  return chosen;
}

void AppendPowerSgdHeader(uint64_t rank, std::span<const MatrixShape> matrices, std::string* out) {
  out->push_back(static_cast<char>(rank));
  AppendVarint(matrices.size(), out);
  uint64_t begin = 0;
  for (const MatrixShape& matrix : matrices) {
    AppendVarint(matrix.offset - begin, out);
    AppendVarint(matrix.rows, out);
    AppendVarint(matrix.columns, out);
    begin = matrix.offset + matrix.rows * matrix.columns;
  }
}

absl::StatusOr<PowerSgdLayout> ReadPowerSgdLayout(std::span<const uint8_t> encoded,
                                                  uint64_t coordinates) {
  if (encoded.empty() || encoded[0] < 1 || encoded[0] > kMaxPowerSgdRank) {
    return Refuse(absl::StrCat("the rank is not within 1 to ", kMaxPowerSgdRank));
  }
  PowerSgdLayout layout;
  layout.rank = encoded[0];
  std::span<const uint8_t> rest = encoded.subspan(1);
  const auto count = TakeVarint(&rest);
  if (!count.ok() || *count > bounds::kMaxTensors) return Refuse("the header is cut off");
  std::vector<MatrixShape> shapes;
  uint64_t begin = 0;
  for (uint64_t i = 0; i < *count; ++i) {
    FW_ASSIGN_OR_RETURN(const MatrixShape shape,
                        TakeMatrix(&rest, layout.rank, begin, coordinates));
    shapes.push_back(shape);
    begin = shape.offset + shape.rows * shape.columns;
  }
  uint64_t data = encoded.size() - rest.size();
  begin = 0;
  shapes.push_back({coordinates, 0, 0});
  for (const MatrixShape& shape : shapes) {
    const uint64_t raw = shape.offset - begin;
    if (raw > (encoded.size() - data) / sizeof(float)) return Refuse("values are cut off");
    data += raw * sizeof(float);
    layout.matrices.push_back({shape, data});
    const uint64_t factors = layout.rank * (shape.rows + shape.columns) * kFactorBytes;
    if (factors > encoded.size() - data) return Refuse("factors are cut off");
    data += factors;
    begin = layout.matrices.back().end();
  }
  if (data != encoded.size()) return Refuse("bytes are left behind the last value");
  return layout;
}

}  // namespace fedwatt
