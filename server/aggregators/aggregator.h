#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/job_spec.h"
#include "common/model/manifest.h"

// Aggregators fold updates into one. (Accumulate | AccumulateMany)* -> CanReport -> Report.
namespace fedwatt {

// One verified update, readable block by block (from memory or a spool file). Reading it twice
// gives the same values. Blocks of 2^16 coordinates in rising order, each from a multiple of 2^16,
// are read fastest: compressed updates are coded in such blocks.
class UpdateView {
 public:
  virtual ~UpdateView() = default;
  virtual uint64_t weight() const = 0;     // 1..max_weight
  virtual double clip_factor() const = 0;  // (0, 1]; multiplies the delta
  // Coordinates [begin, begin + out.size()) of the delta, as the client sent them.
  virtual absl::Status ReadDelta(uint64_t begin, std::span<float> out) const = 0;
  // The raw buffers, layout.buffer_bytes long; may be empty when the layout has none.
  virtual absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const = 0;
};

struct AggregatorConfig {
  Manifest manifest;
  UpdateLayout layout;
  double max_abs_delta = 0;  // B
  uint64_t max_weight = 0;   // W
  uint32_t max_reports = 0;  // N
  PluginSpec plugin;
};

struct AggregateResult {
  std::vector<float> mean_delta;  // layout.coordinates
  std::vector<uint8_t> buffers;   // layout.buffer_bytes: floats averaged, integers by maximum
  uint64_t total_weight = 0;
  uint32_t updates = 0;
};

class Aggregator {
 public:
  virtual ~Aggregator() = default;

  // Folds one update. Thread-safe: several updates may be folded at once, and the result depends
  // neither on their order nor on threads. INVALID_ARGUMENT: a value out of the declared bounds.
  // RESOURCE_EXHAUSTED: more than max_reports. The update's own error: it could not be read. After
  // an error nothing of this update is folded; if even that cannot be kept (it became unreadable
  // half-way), every later call, Report too, returns DATA_LOSS: begin anew.
  virtual absl::Status Accumulate(const UpdateView& update) = 0;

  // Folds each of `updates` as Accumulate would, called for all of them at once; statuses in their
  // order, and one that fails takes none of the others along. This one calls Accumulate for each.
  // Worth writing for an aggregator that can fold all of them into a block of its sums while that
  // block is in the cache. Thread-safe, too.
  virtual std::vector<absl::Status> AccumulateMany(std::span<const UpdateView* const> updates);

  // Adds what `other` (same type and config) has folded, and empties it. Not concurrent with
  // Accumulate. INVALID_ARGUMENT: of another kind. RESOURCE_EXHAUSTED: together more than
  // max_reports. Neither has changed then.
  virtual absl::Status MergeWith(Aggregator&& other) = 0;

  virtual bool CanReport() const = 0;  // at least one update folded

  // Ends the aggregator. FAILED_PRECONDITION: nothing was folded, or it has reported before.
  virtual absl::StatusOr<AggregateResult> Report() && = 0;
};

// INVALID_ARGUMENT when the bounds leave no precision (law 5), saying which to lower.
using AggregatorFactory =
    std::function<absl::StatusOr<std::unique_ptr<Aggregator>>(const AggregatorConfig&)>;

// Those of builtin.def, by name.
std::map<std::string, AggregatorFactory> BuiltinAggregators();

}  // namespace fedwatt
