#include "common/tensor/buffer_accumulator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/tensor/half_float.h"

namespace fedwatt {
namespace {

template <typename T>
T Load(const uint8_t* data, uint64_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void Store(T value, uint8_t* data, uint64_t index) {
  std::memcpy(data + index * sizeof(T), &value, sizeof(T));
}

double LoadFloat(DType dtype, const uint8_t* data, uint64_t index) {
  switch (dtype) {
    case DType::kF64:
      return Load<double>(data, index);
    case DType::kF16:
      return F16ToF32(Load<uint16_t>(data, index));
    case DType::kBF16:
      return BF16ToF32(Load<uint16_t>(data, index));
    default:
      return Load<float>(data, index);
  }
}

void StoreFloat(DType dtype, double value, uint8_t* data, uint64_t index) {
  switch (dtype) {
    case DType::kF64:
      return Store(value, data, index);
    case DType::kF16:
      return Store(F32ToF16(static_cast<float>(value)), data, index);
    case DType::kBF16:
      return Store(F32ToBF16(static_cast<float>(value)), data, index);
    default:
      return Store(static_cast<float>(value), data, index);
  }
}

int64_t LoadInteger(DType dtype, const uint8_t* data, uint64_t index) {
  switch (dtype) {
    case DType::kI64:
      return Load<int64_t>(data, index);
    case DType::kI32:
      return Load<int32_t>(data, index);
    case DType::kI16:
      return Load<int16_t>(data, index);
    case DType::kI8:
      return Load<int8_t>(data, index);
    case DType::kBool:
      return Load<uint8_t>(data, index) != 0;
    default:
      return Load<uint8_t>(data, index);
  }
}

void StoreInteger(DType dtype, int64_t value, uint8_t* data, uint64_t index) {
  switch (dtype) {
    case DType::kI64:
      return Store(value, data, index);
    case DType::kI32:
      return Store(static_cast<int32_t>(value), data, index);
    case DType::kI16:
      return Store(static_cast<int16_t>(value), data, index);
    default:
      return Store(static_cast<uint8_t>(value), data, index);
  }
}

}  // namespace

absl::StatusOr<BufferAccumulator> BufferAccumulator::Create(const Manifest& manifest,
                                                            const UpdateLayout& layout,
                                                            uint64_t max_weight,
                                                            uint64_t max_reports) {
  if (max_weight == 0 || max_weight > bounds::kMaxWeight || max_reports == 0 ||
      max_reports > bounds::kMaxReports) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_weight = ", max_weight, ", max_reports = ", max_reports,
                     ": must be 1 to ", bounds::kMaxWeight, " and 1 to ", bounds::kMaxReports));
  }
  constexpr int kSumBits = 126;
  constexpr int kValueBits = 32;
  BufferAccumulator out;
  out.scale_ = kSumBits - kValueBits - std::bit_width(max_weight * max_reports - 1);
  out.buffer_bytes_ = layout.buffer_bytes;
  for (const UpdateLayout::Piece& piece : layout.buffers) {
    const TensorSpec& spec = manifest.tensors()[piece.tensor];
    const bool floating = IsFloating(spec.dtype);
    out.fields_.push_back({spec.name, spec.dtype, piece.offset, piece.elements,
                           floating ? out.sums_.size() : out.maxima_.size()});
    if (floating) {
      out.sums_.resize(out.sums_.size() + piece.elements, 0);
    } else {
      out.maxima_.resize(out.maxima_.size() + piece.elements, std::numeric_limits<int64_t>::min());
    }
  }
  return out;
}

absl::Status BufferAccumulator::Validate(std::span<const uint8_t> buffers) const {
  if (buffers.size() != buffer_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("the update's buffers have ", buffers.size(),
                                                   " bytes, the model asks for ", buffer_bytes_));
  }
  for (const Field& field : fields_) {
    if (!IsFloating(field.dtype)) continue;
    for (uint64_t i = 0; i < field.elements; ++i) {
      const double value = LoadFloat(field.dtype, buffers.data() + field.offset, i);
      if (std::fabs(value) <= kMaxAbs) continue;  // false for NaN
      return absl::InvalidArgumentError(absl::StrCat("buffer \"", field.name, "\" [", i, "] is ",
                                                     value, ": must be finite and within +-",
                                                     kMaxAbs));
    }
  }
  return absl::OkStatus();
}

void BufferAccumulator::Add(std::span<const uint8_t> buffers, uint64_t weight) {
  for (const Field& field : fields_) {
    const uint8_t* data = buffers.data() + field.offset;
    if (IsFloating(field.dtype)) {
      AddFloats(field, data, weight);
    } else {
      AddIntegers(field, data);
    }
  }
  total_weight_ += weight;
}

void BufferAccumulator::AddFloats(const Field& field, const uint8_t* data, uint64_t weight) {
  for (uint64_t i = 0; i < field.elements; ++i) {
    const double scaled = std::nearbyint(std::ldexp(LoadFloat(field.dtype, data, i), scale_));
    sums_[field.first + i] += static_cast<Int128>(scaled) * static_cast<Int128>(weight);
  }
}

void BufferAccumulator::AddIntegers(const Field& field, const uint8_t* data) {
  for (uint64_t i = 0; i < field.elements; ++i) {
    int64_t& max = maxima_[field.first + i];
    max = std::max(max, LoadInteger(field.dtype, data, i));
  }
}

void BufferAccumulator::MergeWith(const BufferAccumulator& other) {
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
  for (size_t i = 0; i < maxima_.size(); ++i) maxima_[i] = std::max(maxima_[i], other.maxima_[i]);
  total_weight_ += other.total_weight_;
}

absl::StatusOr<std::vector<uint8_t>> BufferAccumulator::Mean() const {
  if (total_weight_ == 0) return absl::FailedPreconditionError("no update was added yet");
  std::vector<uint8_t> out(buffer_bytes_);
  const double divisor = std::ldexp(static_cast<double>(total_weight_), scale_);
  for (const Field& field : fields_) {
    uint8_t* data = out.data() + field.offset;
    for (uint64_t i = 0; i < field.elements; ++i) {
      if (IsFloating(field.dtype)) {
        StoreFloat(field.dtype, static_cast<double>(sums_[field.first + i]) / divisor, data, i);
      } else {
        StoreInteger(field.dtype, maxima_[field.first + i], data, i);
      }
    }
  }
  return out;
}

}  // namespace fedwatt
