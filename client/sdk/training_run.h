#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "client/sdk/assignment_store.h"
#include "client/sdk/trainer.h"
#include "common/base/clock.h"
#include "common/energy/energy_meter.h"

// One call of the trainer, from the note that it ended back to what it cost: what a session does on
// its work executor between "training begins" and "trained" (or why not).
//
// Checkpoints. Whenever the trainer has written one, the joules and seconds up to it are written
// down with the assignment. A process that dies forgets those of the steps after its newest
// checkpoint, which is removed once the training has ended well.
namespace fedwatt {

struct TrainingRun {
  TrainRequest request;
  KeptAssignment record;  // marked as training
  AssignmentStore store;
  const Clock* clock = nullptr;
  EnergyMeter* meter = nullptr;  // may be null
  Trainer* trainer = nullptr;
  std::shared_ptr<std::atomic<bool>> cancel;
  std::function<void(const TrainProgress&)> progress;  // from the trainer's thread
};

struct TrainingOutcome {
  absl::Status status;    // of the work
  absl::Status journal;   // of writing it down
  KeptAssignment record;  // kTrained or (an evaluation) kReady if status is OK
  EnergySample sample;    // of this call
  int64_t duration_us = 0;
  bool resumed = false;  // sample and duration are of a part of the training
};

// Blocks.
TrainingOutcome RunTraining(TrainingRun run);

// Names the work that a checkpoint of this assignment is of: which model, plan and data.
Digest CheckpointIdentity(const Assignment& assignment);

}  // namespace fedwatt
