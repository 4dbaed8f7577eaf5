#include "simulation/local_accuracy.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {

absl::StatusOr<std::vector<double>> LocalAccuracies(const std::shared_ptr<const Bundle>& bundle,
                                                    const std::string& bundle_path,
                                                    const std::string& model_path,
                                                    const std::vector<DatasetConfig>& datasets,
                                                    TrainingBench* bench) {
  constexpr int64_t kTimeLimitMs = 3'600'000;
  std::vector<TrainRequest> requests;
  for (size_t i = 0; i < datasets.size(); ++i) {
    TrainRequest request;
    request.assignment_id = absl::StrCat("local-evaluation-", i);
    request.key.job = "local-evaluation";
    request.kind = AssignmentKind::kEvaluate;
    request.bundle = bundle;
    request.bundle_path = bundle_path;
    request.bundle_header_sha256 = bundle->header_sha256();
    request.model_path = model_path;
    request.dataset = datasets[i];
    request.time_left_ms = kTimeLimitMs;
    requests.push_back(std::move(request));
  }
  for (const TrainRequest& request : requests) bench->Begin(request, 0);
  const std::atomic<bool> cancel = false;
  std::vector<double> accuracies;
  for (const TrainRequest& request : requests) {
    FW_ASSIGN_OR_RETURN(const TrainResult result, bench->Take(request, cancel));
    if (!result.metrics.after.has_value() || result.metrics.after->predictions == 0) {
      return absl::FailedPreconditionError("the task has no accuracy");
    }
    accuracies.push_back(static_cast<double>(result.metrics.after->correct) /
                         static_cast<double>(result.metrics.after->predictions));
  }
  return accuracies;
}

double WorstDecile(std::vector<double> values) {
  const auto count = static_cast<ptrdiff_t>((values.size() + 9) / 10);
  std::partial_sort(values.begin(), values.begin() + count, values.end());
  return std::accumulate(values.begin(), values.begin() + count, 0.0) / static_cast<double>(count);
}

double JainIndex(const std::vector<double>& values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(values.size()) * squares) : 1;
}

}  // namespace fedwatt
