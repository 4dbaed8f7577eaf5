#include <atomic>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/datasets/dataset.h"
#include "client/trainers/torch/tool/commands.h"
#include "client/trainers/torch/torch_trainer.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace fedwatt::tool {

absl::Status RunUpdate(const UpdateArgs& args, const CommonArgs& common) {
  const SystemClock clock;
  TrainRequest request;
  request.assignment_id = "update";
  request.key.job = "update";
  request.bundle_path = args.file;
  request.output_path = args.output;
  FW_ASSIGN_OR_RETURN(request.dataset, DatasetConfig::Parse(args.dataset));
  request.plan.optimizer.lr = args.lr;
  request.plan.local_epochs = 0;
  request.plan.local_steps = args.steps;
  request.plan.batch_size = args.batch_size;
  request.plan.buffers = BufferMode::kFrozen;  // so that the file holds the delta alone
  request.plan.local_evaluation = LocalEvaluation::kNone;
  request.plan.seed = args.seed;
  FW_RETURN_IF_ERROR(ValidatePlan(request.plan));
  const std::unique_ptr<Trainer> trainer = MakeTorchTrainer({.open_dataset = OpenDataset,
                                                             .clock = &clock,
                                                             .device = args.device,
                                                             .allow_ops = common.allow_ops});
  const std::atomic<bool> cancel = false;
  FW_ASSIGN_OR_RETURN(const TrainResult result, trainer->Run(request, cancel, nullptr));
  const uint64_t coordinates = result.output_bytes / sizeof(float);
  if (common.json) {
    const nlohmann::json out = {{"file", args.output},
                                {"coordinates", coordinates},
                                {"steps", result.metrics.steps},
                                {"examples", result.metrics.examples}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    absl::PrintF("%s: %u coordinates after %u steps\n", args.output, coordinates,
                 result.metrics.steps);
  }
  return absl::OkStatus();
}

}  // namespace fedwatt::tool
