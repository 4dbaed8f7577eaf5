#include "simulation/attack.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace fedwatt {

absl::Status Tamper(Attack attack, const TrainRequest& request, uint64_t seed,
                    TrainResult* result) {
  if (request.kind != AssignmentKind::kTrain) return absl::OkStatus();
  if (attack == Attack::kOverclaim) {
    result->weight = bounds::kMaxWeight;
    return absl::OkStatus();
  }
  FW_ASSIGN_OR_RETURN(std::string bytes, ReadFile(request.output_path, result->output_bytes));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  if (attack == Attack::kNan && !values.empty()) {
    values.back() = std::numeric_limits<float>::quiet_NaN();
  }
  Rng rng(RngKey{.job = request.key.job,
                 .round = request.key.round,
                 .client = request.seed_key,
                 .purpose = "attack",
                 .seed = seed});
  for (float& value : values) {
    if (attack == Attack::kScale) value *= -10;
    if (attack == Attack::kGarbage) value = static_cast<float>(2 * rng.Uniform01() - 1);
  }
  std::memcpy(bytes.data(), values.data(), values.size() * sizeof(float));
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(request.output_path, 0600));
  FW_RETURN_IF_ERROR(file.Append(AsBytes(bytes)));
  return file.Close();
}

}  // namespace fedwatt
