#include "server/selectors/selector.h"

#include "absl/strings/str_cat.h"

namespace fedwatt {

absl::Status Selector::LoadState(const std::string& state) {
  if (state.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("selector state of ", state.size(), " bytes: this selector keeps no state"));
}

}  // namespace fedwatt
