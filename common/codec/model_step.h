#pragma once

// How a model travels to clients: whole, or as the step from a version that the client holds.
//
// What clients hold is not the coordinator's exact model x but the broadcast model b, which lies on
// a lattice (common/codec/lattice.h): in each block of kLatticeBlock coordinates of the update
// layout, b is a whole multiple of that block's step, about max|x| / (2^(bits - 1) - 1). Hence
//
//   - a whole model is the list of the multiples, entropy-coded; |b - x| <= step / 2 when b was
//     rounded from x (an error-bounded keyframe);
//   - a step b -> b' codes e = x' - b by any Codec, and b' is b + decoded(e) rounded to the lattice
//     of x'. What b' still misses of x' is in the next e: error feedback on the coordinator's side;
//   - both ways to b' give the same bits, so that clients which came by either are one fleet.
//
// Blocks run over the layout's coordinates, across tensors. Tensors outside of the layout's
// trainables (buffers, integers, frozen ones) travel lossless: all of them with a whole model, the
// layout's buffers with a step, which leaves the others as they are.
//
//   coordinator   LatticeSteps(x, bits) -> RoundToLattice -> EncodeWholeModel
//                 EncodeModelStep; ModelBuilder to get b' as a client will
//   client        ModelBuilder::Create -> StartFrom(b) -> Apply(step)... -> model()
//                 ModelBuilder::Create -> Apply(whole) -> Apply(step)... -> model()
//                 the last Apply may be Stream instead, for a model that is only written down
//
// docs/codecs.md has the formats. Functions are stateless and thread-safe.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/codec/lattice.h"
#include "common/model/manifest.h"

namespace fedwatt {

// `model` is a flat model of the manifest whose trainables lie on the lattice of `steps`.
// INVALID_ARGUMENT: it is not, or they do not. RESOURCE_EXHAUSTED: no memory to compress.
absl::StatusOr<std::string> EncodeWholeModel(const Manifest& manifest, const UpdateLayout& layout,
                                             std::span<const uint8_t> model,
                                             std::span<const float> steps);

// `delta`: e, layout.coordinates. `steps`: of the new model. `buffers`: the new raw buffers,
// layout.buffer_bytes. INVALID_ARGUMENT: of other sizes, or what the codec says.
absl::StatusOr<std::string> EncodeModelStep(const Codec& codec, const CodecContext& context,
                                            const UpdateLayout& layout,
                                            std::span<const float> delta,
                                            std::span<const float> steps,
                                            std::span<const uint8_t> buffers);

// Makes a flat model from what was received; holds that model and, while it applies, a few blocks
// of coordinates. One thread at a time.
class ModelBuilder {
 public:
  // Both must outlive it. RESOURCE_EXHAUSTED: no memory for a model of this size.
  static absl::StatusOr<ModelBuilder> Create(const Manifest* manifest, const UpdateLayout* layout);

  // A flat model of the manifest, which must stay as it is until the next Apply has returned: it is
  // not copied. INVALID_ARGUMENT: of another size.
  absl::Status StartFrom(std::span<const uint8_t> model);

  // A whole model, or a step from the present one. INVALID_ARGUMENT: bytes that the encoders
  // cannot have made, of another model, or a step without a model. After an error there is no
  // model: begin anew.
  absl::Status Apply(std::span<const uint8_t> payload);

  // Takes the new model from its first byte to its last, in pieces of any size.
  using Sink = std::function<absl::Status(std::span<const uint8_t>)>;

  // As Apply, but gives the new model to `sink` as it is made, instead of keeping it: a step then
  // takes no memory for a model. There is no model afterwards. An error of `sink` ends it. After
  // an error `sink` may have got part of a model.
  absl::Status Stream(std::span<const uint8_t> payload, const Sink& sink);

  // Manifest::TotalBytes, or none while there is no model.
  std::span<const uint8_t> model() const;

 private:
  ModelBuilder(const Manifest* manifest, const UpdateLayout* layout,
               std::unique_ptr<uint8_t[]> model);

  std::span<uint8_t> bytes() { return {model_.get(), manifest_->TotalBytes()}; }

  const Manifest* manifest_;
  const UpdateLayout* layout_;
  std::unique_ptr<uint8_t[]> model_;
  std::optional<std::span<const uint8_t>> present_;  // what StartFrom got, or bytes()
};

}  // namespace fedwatt
