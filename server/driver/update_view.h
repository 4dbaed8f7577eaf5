#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/tensor/fixed_point.h"
#include "server/aggregators/aggregator.h"
#include "server/driver/job_setup.h"
#include "server/store/spool.h"

// A spooled update as coordinates. Memory: a plain float32 encoding is read from its file piece by
// piece; a compressed one is small and held whole, since rotations and entropy coding reach across
// its blocks. An update that the spool has in memory is read there.
namespace fedwatt {

// Used by one thread. `setup`, `codec` and `update` must outlive it.
class SpooledUpdateView final : public UpdateView {
 public:
  // Coordinates to read at a time: large enough that a read costs little, small enough for the
  // cache, and whole blocks of the codecs.
  static constexpr uint64_t kBlock = 64 * 1024;

  // What a view of an update of so many bytes holds.
  static uint64_t HeldBytes(const UploadCodec& codec, uint64_t update_bytes);

  // INVALID_ARGUMENT: the update is too short for the job's buffers, or the codec cannot have made
  // it. Others: reading failed.
  static absl::StatusOr<std::unique_ptr<SpooledUpdateView>> Create(const JobSetup* setup,
                                                                   const UploadCodec* codec,
                                                                   const SpooledUpdate* update,
                                                                   uint64_t weight,
                                                                   double clip_factor);

  uint64_t weight() const override { return weight_; }
  double clip_factor() const override { return clip_factor_; }
  absl::Status ReadDelta(uint64_t begin, std::span<float> out) const override;
  absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const override;

  // As Decoder::Scan, of the delta.
  absl::StatusOr<F32Stats> Scan() const;

 private:
  SpooledUpdateView(const JobSetup* setup, const SpooledUpdate* update, uint64_t weight,
                    double clip_factor)
      : setup_(setup), update_(update), weight_(weight), clip_factor_(clip_factor) {}
  absl::Status ReadPlain(uint64_t begin, std::span<float> out) const;

  const JobSetup* const setup_;
  const SpooledUpdate* const update_;
  const uint64_t weight_;
  const double clip_factor_;
  uint64_t encoded_bytes_ = 0;
  std::unique_ptr<uint8_t[]> encoded_;  // null: plain, or in memory already
  std::unique_ptr<Decoder> decoder_;    // null: plain
};

}  // namespace fedwatt
