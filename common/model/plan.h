#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/manifest.h"

// What a client executes. Travels with every assignment; a strategy may change it per client.
namespace fedwatt {

enum class OptimizerKind { kSgd = 1, kAdam, kAdamW };
enum class LocalEvaluation { kNone = 1, kBefore, kAfter, kBoth };
enum class WeightBy { kExamples = 1, kUniform };

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  double lr = 0.05;
  double momentum = 0;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  bool nesterov = false;
};

struct Plan {
  uint32_t plan_version = 1;
  std::string min_sdk;
  int64_t expires_after_ms = 0;  // 0: with the assignment
  OptimizerSpec optimizer;
  uint32_t local_epochs = 1;  // exactly one of epochs and steps is positive
  uint32_t local_steps = 0;
  uint32_t batch_size = 32;
  double clip_grad_norm = 0;  // L2 over all gradients; 0: off
  double proximal_mu = 0;     // FedProx: adds mu/2 ||w - w_t||^2 to the local loss; 0: off
  std::vector<std::string> frozen;
  BufferMode buffers = BufferMode::kAverage;
  LocalEvaluation local_evaluation = LocalEvaluation::kBoth;
  uint32_t local_evaluation_examples = 0;  // at most so many; 0: all
  WeightBy weight_by = WeightBy::kExamples;
  int64_t time_limit_ms = 3'600'000;
  int64_t step_time_limit_ms = 60'000;
  uint64_t memory_limit_bytes = 0;  // 0: the client's own limit
  uint32_t max_examples = 0;        // evaluation plans; 0: all
  uint64_t seed = 0;
};

// INVALID_ARGUMENT names the field, its value and the limit.
absl::Status ValidatePlan(const Plan& plan);

}  // namespace fedwatt
