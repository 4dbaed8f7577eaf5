#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/aggregators/aggregator.h"
#include "server/driver/job_setup.h"
#include "server/store/spool.h"

// A spooled update as coordinates. Memory is one block, whatever the model: a plain float32
// encoding is read piece by piece; a compressed one is small and read at once.
namespace fedwatt {

// Used by one thread. `setup` must outlive it.
class SpooledUpdateView final : public UpdateView {
 public:
  // INVALID_ARGUMENT: the update is too short for the job's buffers.
  static absl::StatusOr<std::unique_ptr<SpooledUpdateView>> Create(const JobSetup* setup,
                                                                   const SpooledUpdate* update,
                                                                   uint64_t weight,
                                                                   double clip_factor);

  uint64_t weight() const override { return weight_; }
  double clip_factor() const override { return clip_factor_; }
  absl::Status ReadDelta(uint64_t begin, std::span<float> out) const override;
  absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const override;

 private:
  SpooledUpdateView(const JobSetup* setup, const SpooledUpdate* update, uint64_t weight,
                    double clip_factor)
      : setup_(setup), update_(update), weight_(weight), clip_factor_(clip_factor) {}

  const JobSetup* const setup_;
  const SpooledUpdate* const update_;
  const uint64_t weight_;
  const double clip_factor_;
  uint64_t encoded_bytes_ = 0;
  bool plain_ = false;
  std::vector<uint8_t> encoded_;      // unless plain
  std::unique_ptr<Decoder> decoder_;  // of encoded_
};

}  // namespace fedwatt
