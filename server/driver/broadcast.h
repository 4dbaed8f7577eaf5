#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/fleet.h"
#include "server/driver/job_setup.h"
#include "server/store/blob_store.h"

// What the clients of a job hold in place of its exact model, when codec.down is lossy: the
// broadcast model (common/codec/model_step.h), one for each version, made once for all clients.
//
//   FirstBroadcast(x0) -> NextBroadcast(x1) -> NextBroadcast(x2) ...
//
// Each is described by a BroadcastState, which becomes a blob that the commit names. What it
// refers to is durable before that. Functions are stateless and thread-safe; First and Next take
// as long as coding a model does.
namespace fedwatt {

struct BroadcastState {
  // From one broadcast model to the next.
  struct Step {
    Digest base{};
    Digest result{};
    BlobRef payload;
    bool operator==(const Step&) const = default;
  };

  uint64_t version = 0;
  Digest exact{};  // the model that `model` stands for
  BlobRef model;   // flat
  BlobRef whole;   // payload: `model` from nothing
  // Oldest first; each begins where the one before it ends, the last ends at `model`. Together
  // smaller than `whole`, for a longer chain is never the smaller way; at most kMaxModelSteps.
  std::vector<Step> steps;

  // All that it refers to, without `exact`.
  std::vector<BlobRef> Blobs() const;
  bool operator==(const BroadcastState&) const = default;
};

std::string FormatBroadcastState(const BroadcastState& state);
// INVALID_ARGUMENT: not what FormatBroadcastState makes, or the steps are no chain.
absl::StatusOr<BroadcastState> ParseBroadcastState(const std::string& text);

// The smallest way to the model for a client that holds the flat models `held`: some of the steps,
// or the whole model. Payloads are named by hash. Empty: the client holds the model, or its flat
// bytes are the smallest.
std::vector<ModelStep> WayTo(const BroadcastState& state, const std::vector<Digest>& held);

// A state with its blobs open. Immutable.
struct Broadcast {
  BroadcastState state;
  std::map<Digest, std::shared_ptr<const MappedFile>> files;

  const std::shared_ptr<const MappedFile>& model() const { return files.at(state.model.sha256); }
  // Null: not one of its blobs.
  std::shared_ptr<const MappedFile> Find(const Digest& sha256) const;
};

// NOT_FOUND: a blob is missing. DATA_LOSS: one has another size.
absl::StatusOr<std::shared_ptr<const Broadcast>> OpenBroadcast(BlobStore* blobs,
                                                               BroadcastState state);

// Version 0: `model`, a flat model with hash `exact`, rounded. A pure function of setup and model.
// INVALID_ARGUMENT: a weight is not finite, or the model's size is another.
absl::StatusOr<BroadcastState> FirstBroadcast(const JobSetup& setup, const Digest& exact,
                                              ByteSpan model, BlobStore* blobs);

// The exact model of a new version.
struct ExactModel {
  uint64_t version = 0;
  Digest sha256{};
  std::vector<float> parameters;  // layout.coordinates
  ByteSpan buffers;               // layout.buffer_bytes
};

// The version after `now`. What `now` missed of its exact model, and what codec and lattice lose
// here, is in the next step: error feedback. INVALID_ARGUMENT: a value that is not finite or that
// the codec does not take.
absl::StatusOr<BroadcastState> NextBroadcast(const JobSetup& setup, const Broadcast& now,
                                             ExactModel exact, BlobStore* blobs);

}  // namespace fedwatt
