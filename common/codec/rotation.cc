#include "common/codec/rotation.h"

#include <algorithm>

namespace fedwatt {
namespace {

constexpr uint64_t kWordsPerBlock = 4;  // of Philox
constexpr uint64_t kBlocksPerPass = SignWords(kMaxRotation) / kWordsPerBlock;

}  // namespace

void Rotation::MakeSigns(uint64_t piece, size_t n) {
  const size_t words = std::max(SignWords(n), kSignWordsUnit);
  for (size_t pass = 0; pass < signs_.size(); ++pass) {
    const uint64_t first_block = (piece * signs_.size() + pass) * kBlocksPerPass;
    SignKernel(seed_.key, seed_.stream, first_block, signs_[pass].data(), words);
  }
}

void Rotation::Forward(uint64_t piece, std::span<const float> in, std::span<float> out) {
  MakeSigns(piece, in.size());
  HadamardUpKernel(in.data(), signs_[0].data(), out.data(), in.size());
  HadamardUpKernel(out.data(), signs_[1].data(), out.data(), in.size());
}

void Rotation::Inverse(uint64_t piece, float scale, std::span<float> x) {
  MakeSigns(piece, x.size());
  HadamardDownKernel(x.data(), signs_[1].data(), 1.0f, x.size());
  HadamardDownKernel(x.data(), signs_[0].data(), scale, x.size());
}

}  // namespace fedwatt
