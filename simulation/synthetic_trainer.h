#pragma once

#include <cstdint>
#include <memory>

#include "client/sdk/trainer.h"

// A trainer that needs no data and no LibTorch, for simulations of scale: each device pulls the
// model towards a point of its own, so that rounds make progress and "accuracy" means something.
//
//   target of device i   t_i = c + h s_i     c: common, |c_j| <= 1/2;  s_i: the device's own shift,
//                                            the same for 64 coordinates in a row, |s| <= 1
//   loss                 mean((w - t_i)^2) / mean(c^2)      1 for w = 0, about (h/0.5)^2 at best
//   training             w - t_i shrinks by (1 - lr) with each step; noise of +-0.01 by block
//   accuracy             1 / (1 + 4 loss)
//
// h = 0.1. An evaluator (no shift) measures against c. Labelled synthetic wherever it is shown.
namespace fedwatt {

// What the devices of one simulation share. One thread at a time.
class SyntheticTask;
std::shared_ptr<SyntheticTask> MakeSyntheticTask(uint64_t seed);

// Takes any bundle. The number of examples is the dataset's option "examples" (default 100);
// option "shift=none" leaves the device's own shift out.
std::unique_ptr<Trainer> MakeSyntheticTrainer(std::shared_ptr<SyntheticTask> task);

}  // namespace fedwatt
