#include "simulation/work_units.h"

#include <algorithm>

#include "absl/strings/numbers.h"

namespace fedwatt {

uint64_t ExamplesOf(const DatasetConfig& dataset) {
  constexpr uint64_t kDefault = 100;
  uint64_t examples = 0;
  const auto option = dataset.options.find("examples");
  const bool said = option != dataset.options.end() &&
                    absl::SimpleAtoi(option->second, &examples) && examples > 0;
  return said ? examples : kDefault;
}

uint64_t StepsOf(const Plan& plan, uint64_t examples) {
  if (plan.local_steps > 0) return plan.local_steps;
  const uint64_t batch = std::max<uint64_t>(plan.batch_size, 1);
  return (examples + batch - 1) / batch * plan.local_epochs;
}

double TrainingFlops(const Plan& plan, uint64_t parameters, uint64_t examples) {
  const uint64_t batch = std::max<uint64_t>(plan.batch_size, 1);
  const auto seen = plan.local_steps > 0 ? static_cast<double>(plan.local_steps * batch)
                                         : static_cast<double>(examples * plan.local_epochs);
  return 6 * static_cast<double>(parameters) * seen;
}

double EvaluationFlops(const Plan& plan, uint64_t parameters, uint64_t examples) {
  const uint64_t seen =
      plan.max_examples > 0 ? std::min<uint64_t>(plan.max_examples, examples) : examples;
  return 2 * static_cast<double>(parameters) * static_cast<double>(seen);
}

}  // namespace fedwatt
