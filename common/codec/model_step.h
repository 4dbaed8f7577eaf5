#pragma once

// How a model travels to clients: whole, or as the step from a version that the client holds.
//
// What clients hold is not the coordinator's exact model x but the broadcast model b, which lies on
// a lattice: in each block of kLatticeBlock coordinates of the update layout, b is a whole multiple
// of that block's step, step = max|x| / (2^(bits-1) - 1). Hence
//
//   - a whole model is the list of the multiples, entropy-coded; |b - x| <= step / 2 when b was
//     rounded from x (an error-bounded keyframe);
//   - a step b -> b' codes e = x' - b by any Codec, and b' = round(b + decoded(e)) to the lattice
//   of
//     x'. What b' still misses of x' is in the next e: error feedback on the coordinator's side;
//   - both ways to b' give the same bits, so that clients which came by either are one fleet.
//
// Tensors outside of the layout's trainables (buffers, integers, frozen ones) travel lossless.
//
//   coordinator   LatticeSteps(x, bits) -> RoundToLattice -> EncodeWholeModel
//                 EncodeModelStep; ModelBuilder to get b' as a client will
//   client        ModelBuilder::Create -> StartFrom(b) -> Apply(step)... -> model()
//                 ModelBuilder::Create -> Apply(whole) -> Apply(step)... -> model()
//
// docs/codecs.md has the formats. Functions are stateless and thread-safe.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/model/manifest.h"

namespace fedwatt {

inline constexpr uint64_t kLatticeBlock = 4096;  // coordinates
inline constexpr int kMinLatticeBits = 4;
inline constexpr int kMaxLatticeBits = 16;

// One step for each block. 0: the block is all zero. INVALID_ARGUMENT: a value is not finite.
absl::StatusOr<std::vector<float>> LatticeSteps(std::span<const float> values, int bits);

// Each value to the nearest multiple (ties to even) of its block's step. The same bits on every
// machine. `values` are finite.
void RoundToLattice(std::span<const float> steps, std::span<float> values);

// `model` is a flat model of the manifest whose trainables lie on the lattice of `steps`; checked.
absl::StatusOr<std::string> EncodeWholeModel(const Manifest& manifest, const UpdateLayout& layout,
                                             std::span<const uint8_t> model,
                                             std::span<const float> steps);

// `delta`: e, layout.coordinates. `steps`: of the new model. `buffers`: the new raw buffers,
// layout.buffer_bytes.
absl::StatusOr<std::string> EncodeModelStep(const Codec& codec, const CodecContext& context,
                                            const UpdateLayout& layout,
                                            std::span<const float> delta,
                                            std::span<const float> steps,
                                            std::span<const uint8_t> buffers);

// Makes a flat model from what was received. One thread at a time. After an error: begin anew.
class ModelBuilder {
 public:
  // Both must outlive it. RESOURCE_EXHAUSTED: no memory for a model of this size.
  static absl::StatusOr<ModelBuilder> Create(const Manifest* manifest, const UpdateLayout* layout);

  // A flat model of the manifest. INVALID_ARGUMENT: of another size.
  absl::Status StartFrom(std::span<const uint8_t> model);

  // A whole model, or a step from the present one. INVALID_ARGUMENT: bytes that the encoders
  // cannot have made, of another model, or a step without a model.
  absl::Status Apply(std::span<const uint8_t> payload);

  // Manifest::TotalBytes, once there is a model.
  std::span<const uint8_t> model() const { return model_; }

 private:
  ModelBuilder(const Manifest* manifest, const UpdateLayout* layout)
      : manifest_(manifest), layout_(layout) {}

  const Manifest* manifest_;
  const UpdateLayout* layout_;
  std::vector<uint8_t> model_;
  bool started_ = false;
};

}  // namespace fedwatt
