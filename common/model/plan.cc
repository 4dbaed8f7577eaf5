#include "common/model/plan.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"

namespace fedwatt {
namespace {

constexpr int64_t kMaxTrainingMs = int64_t{30} * 24 * 3600 * 1000;
constexpr uint32_t kMaxLocalEpochs = 100'000;
constexpr uint32_t kMaxLocalSteps = 1'000'000'000;
constexpr uint32_t kMaxBatch = 1 << 20;
constexpr size_t kMaxFrozenGlobs = 1024;
// Far beyond every useful value; keeps products of hyper-parameters finite in double.
constexpr double kMaxReal = 1e12;

template <typename E>
absl::Status CheckEnum(const std::string& key, E value, E last) {
  return CheckCount(key, static_cast<uint64_t>(value), 1, static_cast<uint64_t>(last));
}

absl::Status CheckOptimizer(const OptimizerSpec& o) {
  FW_RETURN_IF_ERROR(CheckEnum("plan.optimizer.kind", o.kind, OptimizerKind::kAdamW));
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.lr", o.lr, 1e-12, kMaxReal, "0.05"));
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.momentum", o.momentum, 0, 1, "0.9"));
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.weight_decay", o.weight_decay, 0, kMaxReal, "1e-4"));
  // Adam divides by 1 - beta^t.
  constexpr double kBelowOne = 1 - std::numeric_limits<double>::epsilon();
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.beta1", o.beta1, 0, kBelowOne, "0.9"));
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.beta2", o.beta2, 0, kBelowOne, "0.999"));
  FW_RETURN_IF_ERROR(CheckReal("plan.optimizer.eps", o.eps, 0, kMaxReal, "1e-8"));
  if (o.nesterov && o.momentum == 0) {
    return absl::InvalidArgumentError(
        "plan.optimizer.nesterov = true: needs momentum; write e.g. momentum = 0.9");
  }
  return absl::OkStatus();
}

absl::Status CheckAmountOfWork(const Plan& plan) {
  if ((plan.local_epochs > 0) == (plan.local_steps > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "plan.local_epochs = ", plan.local_epochs, " and plan.local_steps = ", plan.local_steps,
        ": exactly one of them must be above 0; write e.g. local_epochs = 1"));
  }
  FW_RETURN_IF_ERROR(CheckCount("plan.local_epochs", plan.local_epochs, 0, kMaxLocalEpochs, "1"));
  FW_RETURN_IF_ERROR(CheckCount("plan.local_steps", plan.local_steps, 0, kMaxLocalSteps, "100"));
  return CheckCount("plan.batch_size", plan.batch_size, 1, kMaxBatch, "32");
}

}  // namespace

absl::Status ValidatePlan(const Plan& plan) {
  FW_RETURN_IF_ERROR(CheckCount("plan.plan_version", plan.plan_version, 1,
                                std::numeric_limits<uint32_t>::max(), "1"));
  FW_RETURN_IF_ERROR(CheckText("plan.min_sdk", plan.min_sdk, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(
      CheckSigned("plan.expires_after_ms", plan.expires_after_ms, 0, kMaxTrainingMs, "3600000"));
  FW_RETURN_IF_ERROR(CheckOptimizer(plan.optimizer));
  FW_RETURN_IF_ERROR(CheckAmountOfWork(plan));
  FW_RETURN_IF_ERROR(CheckReal("plan.clip_grad_norm", plan.clip_grad_norm, 0, kMaxReal, "1.0"));
  FW_RETURN_IF_ERROR(CheckReal("plan.proximal_mu", plan.proximal_mu, 0, kMaxReal, "0.01"));
  FW_RETURN_IF_ERROR(
      CheckCount("number of globs in plan.frozen", plan.frozen.size(), 0, kMaxFrozenGlobs));
  for (const std::string& glob : plan.frozen) {
    FW_RETURN_IF_ERROR(CheckName("plan.frozen", glob, bounds::kMaxNameLength, "[\"features.*\"]"));
  }
  FW_RETURN_IF_ERROR(CheckEnum("plan.buffers", plan.buffers, BufferMode::kFrozen));
  FW_RETURN_IF_ERROR(
      CheckEnum("plan.local_evaluation", plan.local_evaluation, LocalEvaluation::kBoth));
  FW_RETURN_IF_ERROR(CheckEnum("plan.weight_by", plan.weight_by, WeightBy::kUniform));
  FW_RETURN_IF_ERROR(
      CheckSigned("plan.time_limit_ms", plan.time_limit_ms, 1, kMaxTrainingMs, "3600000"));
  FW_RETURN_IF_ERROR(
      CheckSigned("plan.step_time_limit_ms", plan.step_time_limit_ms, 1, kMaxTrainingMs, "60000"));
  return CheckCount("plan.memory_limit_bytes", plan.memory_limit_bytes, 0, uint64_t{1} << 50,
                    "4294967296");
}

}  // namespace fedwatt
