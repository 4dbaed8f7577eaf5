#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

struct TrainOptions {
  std::string bin_dir;  // fedwatt-torch, bench_torch_loop
  std::string scratch;
  std::string data_dir = "/usr/share/datasets/fashion-mnist";
  uint32_t examples = 3200;  // of one epoch
};

// Images a second of a client's training (the trainer process of an assignment: McMahan's CNN,
// Fashion-MNIST, batches of 32), with LibTorch and without, beside a plain LibTorch loop over the
// same model and data, and what it costs to meter one.
absl::Status RunTrain(const TrainOptions& options, const Clock& clock, const Interrupt& interrupt,
                      Table* table);

}  // namespace fedwatt::bench
