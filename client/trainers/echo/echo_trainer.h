#pragma once

#include <memory>

#include "client/sdk/trainer.h"
#include "common/base/clock.h"

// A trainer that trains nothing: its delta is made of random numbers keyed by (job, round, client),
// bounded by 0.01. Blocks of 4096 coordinates are the same bell-shaped numbers, each block times a
// scale of its own, which costs little more than writing them down. For benchmarks of everything
// but training, for end-to-end tests without LibTorch, and for rehearsing a fleet.
namespace fedwatt {

// Needs no dataset; weight and examples are 100. Takes any artifact format.
std::unique_ptr<Trainer> MakeEchoTrainer(const Clock* clock);

}  // namespace fedwatt
