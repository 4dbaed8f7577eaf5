#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/model/job_spec.h"
#include "common/model/manifest.h"
#include "server/driver/matching.h"

// Which codec a client's update travels in, and why. Pure functions: the same offer gets the same
// codec, and the choice is written down with the assignment, so that it outlives a restart.
//
// `fixed` gives every client codec.up, and matches none that cannot encode it.
//
// `adaptive` chooses for each client and round what makes one *effective* update cheapest. Let
// updates be x_i = m + e_i, with independent e_i of variance s^2, and let a codec add independent
// noise of variance v |x_i|^2, where v is its vNMSE. The mean of n of them has the variance
// (s^2 + v |x|^2) / n; exact ones need only n s^2 / (s^2 + v |x|^2) for as good a mean. One
// client's data moves a model far more than all clients agree, so s^2 is nearly |x|^2, and an
// update with error v is worth 1 / (1 + v) of an exact one. Where clients nearly agree it is worth
// less: that is what codec.max_error bounds. So the cost is
//
//   (train + encode + upload) (1 + v),   upload = bytes x joules per byte
//
// in joules where the client knows what a byte and training cost it; else in seconds where it knows
// its bandwidth and the time of training; else nothing is known to weigh, and codec.up stands, or
// if the client cannot encode that the least bytes (1 + v). The joules of encoding are those of the
// client's last codec; raw_f32 takes none. What every codec costs alike (the download) changes the
// sum, not by much the order, and is left out.
//
// Before that, candidates go that err by more than codec.max_error, or whose upload takes more than
// codec.upload_share of the report deadline at the client's bandwidth. If none is fast enough it is
// the smallest of those that err little enough: the error is a promise to the job, the time one to
// the round, which has a deadline of its own.
namespace fedwatt {

// A codec that a job's updates may travel in. Immutable.
struct UploadCodec {
  std::string text;  // as in Assignment.codec: "eden:bits=2"
  std::shared_ptr<const Codec> codec;
  CodecNeed need;             // of the client
  CodecQuality quality;       // the codec's
  double expected_bytes = 0;  // of an update, its buffers included
  uint64_t max_bytes = 0;     // no update has more
  uint64_t coordinates = 0;   // of an update
};

// NOT_FOUND, INVALID_ARGUMENT: as MakeCodec.
absl::StatusOr<std::shared_ptr<const UploadCodec>> MakeUploadCodec(const std::string& text,
                                                                   const UpdateLayout& layout);

// Those that a job's clients are given: codec.up alone, or with the policy `adaptive` also those of
// many rates, within codec.max_error. codec.up, if it is among them, comes first; never empty.
absl::StatusOr<std::vector<std::shared_ptr<const UploadCodec>>> UploadCodecs(
    const JobSpec::CodecChoice& choice, const UpdateLayout& layout);

struct ChosenCodec {
  std::shared_ptr<const UploadCodec> codec;
  std::string reason;  // one line, for an operator
};

// `codecs` are the job's UploadCodecs. FAILED_PRECONDITION: the client can encode none of them
// (matching lets no such client through). Ties go to fewer bytes, then to the first.
absl::StatusOr<ChosenCodec> ChooseCodec(
    const JobSpec& spec, const std::vector<std::shared_ptr<const UploadCodec>>& codecs,
    const Offer& offer);

}  // namespace fedwatt
