#include "server/driver/job_admission.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fedwatt {
namespace {

std::string Describe(const TensorSpec& tensor) {
  return absl::StrCat("\"", tensor.name, "\" ", DTypeName(tensor.dtype), "[",
                      absl::StrJoin(tensor.shape, ","), "]",
                      tensor.role == TensorRole::kBuffer ? " (buffer)" : "");
}

}  // namespace

absl::Status SameManifest(const Manifest& from, const Manifest& to) {
  const auto& old_tensors = from.tensors();
  const auto& new_tensors = to.tensors();
  for (size_t i = 0; i < std::max(old_tensors.size(), new_tensors.size()); ++i) {
    const std::string is = i < new_tensors.size() ? Describe(new_tensors[i]) : "missing";
    const std::string was = i < old_tensors.size() ? Describe(old_tensors[i]) : "missing";
    if (is == was) continue;
    return absl::InvalidArgumentError(absl::StrCat("tensor ", i, " of the bundle is ", is,
                                                   ", in the model to start from it is ", was));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelRef> FindModel(const JobDriver& driver, const std::string& version) {
  const JobView view = driver.status()->View(false);
  const std::vector<ModelRef> kept = driver.KeptModels();
  uint64_t wanted = 0;
  if (version == "best") {
    wanted = view.best.version;
  } else if (version == "last" || version.empty()) {
    wanted = view.last.version;
  } else if (!absl::SimpleAtoi(version, &wanted)) {
    return absl::InvalidArgumentError(
        absl::StrCat("version \"", version, "\": write \"best\", \"last\" or a round's number"));
  }
  for (const ModelRef& model : kept) {
    if (model.version == wanted) return model;
  }
  const std::string versions = absl::StrJoin(
      kept, ", ",
      [](std::string* out, const ModelRef& model) { absl::StrAppend(out, model.version); });
  return absl::NotFoundError(absl::StrCat("job ", view.id, " keeps no model of round ", wanted,
                                          "; kept are ", versions,
                                          " (retention in the job file says which)"));
}

uint64_t JobNumber(const std::string& id, const std::string& name) {
  const size_t dash = id.rfind('-');
  uint64_t number = 0;
  if (dash == std::string::npos || id.substr(0, dash) != name ||
      !absl::SimpleAtoi(id.substr(dash + 1), &number)) {
    return 0;
  }
  return number;
}

}  // namespace fedwatt
