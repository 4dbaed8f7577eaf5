#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/codec/codec.h"
#include "common/crypto/sha256.h"

// Error feedback (Seide et al. 2014; Karimireddy et al. 2019) for codecs that drop part of every
// update: what was dropped, the residual r, is added to the next one.
//
//   v    = limit(delta + r)                    what is encoded
//   next = (delta + r) - decoded(encoded(v))   float32, coordinate by coordinate
//
// `limit` cuts at +-max_abs_delta, beyond which the coordinator would refuse the whole update: the
// delta keeps the bound, but a residual on top of it may not. What was cut off stays in `next`.
//
// One residual for each job and bundle, in the state folder. `next` is written beside its
// assignment, before the update, and takes the residual's place by a rename when the assignment's
// outcome is COMMITTED: after a kill at any point there is the old residual or the new one, and
// encoding again gives the same bytes. After every other outcome (refused, abandoned, unknown)
// `next` is dropped and the residual stays what it was: none of that update reached the model, so
// what the encoding lost of it is not missing there; and its delta is not kept either, because
// it is a step from an old model, and the next training makes that step anew from the new one. To
// add it would take it twice.
//
// Were two updates of a job encoded from one residual and both committed, the second `next`
// would undo the first. CommitResidual therefore takes a `next` only in place of the residual that
// it was made from; else the residual stays, and what the second encoding dropped is lost.
//
// Files: "FWRESID1", then SHA-256 of all that follows: SHA-256 of the residual that this one was
// made from (zeros: none), the bundle's SHA-256, coordinates (u64), bytes of the job's name (u64),
// the name, zeros up to a multiple of 8 bytes, the values. Little-endian.
namespace fedwatt {

// Whose residual it is.
struct ResidualKey {
  std::string job;
  Digest bundle{};  // Bundle::header_sha256
  uint64_t coordinates = 0;
};

// In `state_dir`; depends on job and bundle.
std::string ResidualPath(const std::string& state_dir, const ResidualKey& key);

// A residual file, mapped.
class Residual {
 public:
  // NOT_FOUND: no such file. DATA_LOSS: damaged, or of another key.
  static absl::StatusOr<Residual> Open(const std::string& path, const ResidualKey& key);

  std::span<const float> values() const { return values_; }
  const Digest& sha256() const { return sha256_; }

 private:
  MappedFile file_;
  Digest sha256_{};
  std::span<const float> values_;
};

// One update's way through error feedback: Open, encode values(), WriteNext.
class FeedbackStep {
 public:
  struct Files {
    ResidualKey key;
    std::string residual_path;  // read
    std::string next_path;      // written
    bool sync = true;
  };

  // `delta` (key.coordinates finite values) must outlive it. A residual that is damaged or not of
  // this job, bundle and layout is removed, problem() says so, and feedback starts from zero.
  // `max_abs`: of a coordinate.
  static absl::StatusOr<FeedbackStep> Open(Files files, std::span<const float> delta,
                                           float max_abs);

  std::span<const float> values() const { return values_; }
  const std::string& problem() const { return problem_; }

  // `encoded`: of values(), by `codec`.
  absl::Status WriteNext(const Codec& codec, std::span<const uint8_t> encoded) const;

 private:
  // Delta plus residual of coordinate i.
  float Sum(uint64_t i) const {
    return residual_.values().empty() ? delta_[i] : delta_[i] + residual_.values()[i];
  }

  Files files_;
  std::span<const float> delta_;
  Residual residual_;  // empty: zero
  std::vector<float> values_;
  std::string problem_;
};

// The outcome of the update that `next_path` belongs to is COMMITTED. OK if there is no such file.
// FAILED_PRECONDITION: the residual is no longer the one that it was made from; `next` was removed.
// Of residuals that no commit has touched for long, the oldest beyond kMaxResiduals are removed.
absl::Status CommitResidual(const std::string& state_dir, const std::string& next_path, bool sync);

inline constexpr size_t kMaxResiduals = 16;

}  // namespace fedwatt
