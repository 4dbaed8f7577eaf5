#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/tensor/update_sketch.h"
#include "server/driver/attempt_board.h"
#include "server/store/spool.h"

// What makes an update acceptable. Errors are INVALID_ARGUMENT, for the client, and final: what the
// device did is of no use.
namespace fedwatt {

// Everything that the report itself says: base model, weight, declared size, metrics.
absl::Status CheckReport(const AttemptFacts& facts, uint32_t index, const Report& report);

struct CheckedUpdate {
  double clip_factor = 1;  // 1 when the norm is within its bound
  UpdateSketch sketch;     // where the job's selector wants it
};

// The validate pass of law 5: decodable, finite, within the bounds. The same bits each time. Codecs
// that can tell without making the values do (Decoder::Scan); the values are made only to find an
// offender. Other codes: reading failed.
absl::StatusOr<CheckedUpdate> ValidateUpdate(const JobSetup& setup, const UploadCodec& codec,
                                             const SpooledUpdate& update);

// Losses and named values of a report go into sums with others': what is not finite or cannot be is
// left out.
UpdateMetrics UsableMetrics(const UpdateMetrics& metrics);

}  // namespace fedwatt
