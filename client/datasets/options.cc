#include "client/datasets/options.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"

namespace fedwatt {

absl::StatusOr<uint64_t> UintOption(const DatasetOptions& options, const std::string& key,
                                    uint64_t fallback) {
  const auto it = options.find(key);
  if (it == options.end()) return fallback;
  uint64_t value = 0;
  if (!absl::SimpleAtoi(it->second, &value)) {
    return absl::InvalidArgumentError(absl::StrCat("dataset option ", key, " = '", it->second,
                                                   "': expected a whole number of 0 or more"));
  }
  return value;
}

absl::StatusOr<double> DoubleOption(const DatasetOptions& options, const std::string& key,
                                    double fallback) {
  const auto it = options.find(key);
  if (it == options.end()) return fallback;
  double value = 0;
  if (!absl::SimpleAtod(it->second, &value) || !(value - value == 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset option ", key, " = '", it->second, "': expected a finite number"));
  }
  return value;
}

std::string StringOption(const DatasetOptions& options, const std::string& key,
                         const std::string& fallback) {
  const auto it = options.find(key);
  return it == options.end() ? fallback : it->second;
}

absl::Status CheckKnownOptions(const DatasetOptions& options, const std::string& format,
                               std::initializer_list<const char*> own) {
  std::vector<std::string> known(own.begin(), own.end());
  known.insert(known.end(), kCommonDatasetOptions.begin(), kCommonDatasetOptions.end());
  for (const auto& [key, value] : options) {
    bool found = false;
    for (const std::string& name : known) found = found || name == key;
    if (found) continue;
    return absl::InvalidArgumentError(absl::StrCat("unknown dataset option '", key, "' for format ",
                                                   format, DidYouMean(key, known)));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
