#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/sdk/trainer.h"
#include "simulation/training_bench.h"

namespace fedwatt {

// Real training in `workers` processes that all devices share: a virtual device costs its data, not
// a process. Each worker swaps parameters through one loaded model. What a device expects begins as
// soon as a worker is free, what is due first before the others, so that they are busy while
// virtual time goes on; the simulation waits only for a result that is due.
//
// `make` gives each worker's trainer (client/trainers/worker); it is called, and its trainer used
// and destroyed, on the worker's own thread.
std::unique_ptr<TrainingBench> MakeWorkerBench(std::string name,
                                               std::vector<std::string> artifact_formats,
                                               int workers,
                                               std::function<std::unique_ptr<Trainer>()> make);

}  // namespace fedwatt
