#pragma once

#include <vector>

#include "common/codec/codec.h"
#include "common/model/manifest.h"

namespace fedwatt {

// The matrices among an update's coordinates, for CodecContext: tensors of at least two dimensions
// and at least two rows and columns.
std::vector<MatrixShape> MatricesOf(const Manifest& manifest, const UpdateLayout& layout);

}  // namespace fedwatt
