#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "client/datasets/dataset.h"
#include "client/sdk/trainer.h"
#include "client/trainers/local_work/checkpoint.h"
#include "client/trainers/local_work/local_work.h"
#include "common/model/bundle_header.h"
#include "fedwatt/fedwatt.h"

// Our trainers as libraries of their own (client/capi/portable, client/capi/torch): a task of
// fedwatt.h as the values that they work on, and their results back. Knows the client through the
// functions of fedwatt.h alone, whatever its version.
namespace fedwatt {

// A task, read. Valid during the call of fedwatt_trainer.run.
struct TaskWork {
  TrainRequest request;  // kind, plan and keys; no bundle, and none of its paths
  BundleHeader header;   // what a plan says of it: no artifacts, no owner
  ByteSpan artifact;     // empty: the bundle has none of the format
  std::vector<fedwatt_parameter> parameters;  // by tensor of the manifest, like `base`
  std::vector<const uint8_t*> base;
  std::shared_ptr<const Dataset> dataset;
  uint64_t dataset_bytes = 0;
};

// What a trainer does of its own: trains, and writes to the parameters' outputs, or evaluates.
// `checkpoints`: null if nothing is to be saved. Fills examples, steps, losses and named values.
using TaskBody =
    std::function<absl::Status(TaskWork& work, const Clock& clock, WorkMonitor& monitor,
                               Checkpoints* checkpoints, UpdateMetrics* metrics)>;

// All of fedwatt_trainer.run: reads the task, with all examples that the app has (at most
// `data_limit_bytes` of them, else RESOURCE_EXHAUSTED), and does `body`. Blocks; lets no exception
// out.
int32_t RunTask(fedwatt_task* task, const char* artifact_format, uint64_t data_limit_bytes,
                const TaskBody& body, fedwatt_result* result, fedwatt_error* error);

// The code of `status`, and its message in `error`.
int32_t GiveError(const absl::Status& status, fedwatt_error* error);

}  // namespace fedwatt
