#include "common/codec/matrix_shapes.h"

namespace fedwatt {

std::vector<MatrixShape> MatricesOf(const Manifest& manifest, const UpdateLayout& layout) {
  std::vector<MatrixShape> matrices;
  for (const UpdateLayout::Piece& piece : layout.trainable) {
    const TensorSpec& tensor = manifest.tensors()[piece.tensor];
    if (tensor.shape.size() < 2 || piece.elements == 0) continue;
    const auto rows = static_cast<uint64_t>(tensor.shape[0]);
    const uint64_t columns = piece.elements / rows;
    if (rows >= 2 && columns >= 2) matrices.push_back({piece.offset, rows, columns});
  }
  return matrices;
}

}  // namespace fedwatt
