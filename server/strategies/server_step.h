#pragma once

#include <span>

#include "absl/status/status.h"
#include "common/model/plugin_params.h"

namespace fedwatt {

// The parameter that plain server steps share: `server_lr`, 1 unless given.
ParamRule ServerLrRule();

// parameters += server_lr * mean_delta, rounded once to float32. INVALID_ARGUMENT, with
// `parameters` as they were, when the lengths differ or a value or result is not finite (naming the
// coordinate).
absl::Status AddScaledDelta(double server_lr, std::span<const float> mean_delta,
                            std::span<float> parameters);

}  // namespace fedwatt
