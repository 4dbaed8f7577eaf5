#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "client/sdk/trainer.h"

namespace fedwatt {

// What a client that means harm sends instead of its work.
enum class Attack {
  kScale,     // its delta times -10
  kNan,       // one coordinate is not a number
  kGarbage,   // random numbers of +-1
  kOverclaim  // a weight of 2^30
};

// Alters what the trainer has written and said. It goes through the device's own session: what that
// refuses to send never gets to the coordinator. `seed`: of garbage.
absl::Status Tamper(Attack attack, const TrainRequest& request, uint64_t seed, TrainResult* result);

}  // namespace fedwatt
