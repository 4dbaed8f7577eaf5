#pragma once

#include <cstdint>

// Products of row-major float matrices on one thread. Equal inputs give equal bits on one kind of
// processor.
namespace fedwatt::portable {

enum class Operand { kPlain, kTransposed };

struct GemmSize {
  int64_t m, n, k;
};

// c[m, n] = op(a) op(b), or += with `add`. op(a) is [m, k]: a is stored so, or [k, m] and taken
// transposed; op(b) is [k, n].
void Gemm(const GemmSize& size, Operand op_a, const float* a, Operand op_b, const float* b,
          bool add, float* c);

}  // namespace fedwatt::portable
