#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/sdk/trainer.h"

// Where the training of all virtual devices is really done. A device says at the virtual beginning
// of its work what it will need, and takes the result at the virtual end: the results, and with
// them the simulation, do not depend on how many workers there are or how fast.
namespace fedwatt {

// One thread calls.
class TrainingBench {
 public:
  virtual ~TrainingBench() = default;
  virtual std::string name() const = 0;
  virtual std::vector<std::string> artifact_formats() const = 0;
  // Whether it trains in other processes, which see files of the disk only.
  virtual bool needs_disk() const = 0;

  // May begin with it. `due_ms`: the virtual time at which it will be taken; what is due first is
  // best done first, since that is what will be waited for.
  virtual void Begin(const TrainRequest& request, int64_t due_ms) = 0;
  // The result of the request, which is as Begin had it; blocks until it is there. Its outputs are
  // then in place.
  virtual absl::StatusOr<TrainResult> Take(const TrainRequest& request,
                                           const std::atomic<bool>& cancel) = 0;
  // Nobody will take it.
  virtual void Drop(const std::string& assignment_id) = 0;
};

// Runs `trainer` when the result is taken.
std::unique_ptr<TrainingBench> MakeDirectBench(std::unique_ptr<Trainer> trainer);

}  // namespace fedwatt
