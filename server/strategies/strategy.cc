#include "server/strategies/strategy.h"

#include "absl/strings/str_cat.h"

namespace fedwatt {

absl::Status Strategy::LoadState(const std::string& state) {
  if (state.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("strategy state of ", state.size(), " bytes: this strategy keeps no state"));
}

}  // namespace fedwatt
