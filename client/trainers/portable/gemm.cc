#include "client/trainers/portable/gemm.h"

#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

namespace fedwatt::portable {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Input = Eigen::Map<const Matrix>;

template <typename A, typename B>
void Product(const A& a, const B& b, bool add, Eigen::Map<Matrix>& c) {
  if (add) {
    c.noalias() += a * b;
  } else {
    c.noalias() = a * b;
  }
}

}  // namespace

void Gemm(const GemmSize& size, Operand op_a, const float* a, Operand op_b, const float* b,
          bool add, float* c) {
  Eigen::Map<Matrix> out(c, size.m, size.n);
  const bool ta = op_a == Operand::kTransposed;
  const bool tb = op_b == Operand::kTransposed;
  const Input left(a, ta ? size.k : size.m, ta ? size.m : size.k);
  const Input right(b, tb ? size.n : size.k, tb ? size.k : size.n);
  if (ta && tb) {
    Product(left.transpose(), right.transpose(), add, out);
  } else if (ta) {
    Product(left.transpose(), right, add, out);
  } else if (tb) {
    Product(left, right.transpose(), add, out);
  } else {
    Product(left, right, add, out);
  }
}

}  // namespace fedwatt::portable
