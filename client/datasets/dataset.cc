#include "client/datasets/dataset.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/datasets/formats.h"
#include "common/base/status_util.h"
#include "common/base/suggest.h"

namespace fedwatt {

absl::StatusOr<DatasetConfig> DatasetConfig::Parse(const std::string& text) {
  const std::string usage =
      "expected name=format:path[?option=value&...], e.g. "
      "fashion-mnist=idx:/usr/share/datasets/fashion-mnist?split=train";
  const size_t equals = text.find('=');
  const size_t colon = equals == std::string::npos ? equals : text.find(':', equals);
  if (colon == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat("dataset '", text, "': ", usage));
  }
  DatasetConfig config;
  config.name = text.substr(0, equals);
  config.format = text.substr(equals + 1, colon - equals - 1);
  const std::string rest = text.substr(colon + 1);
  const size_t question = rest.find('?');
  config.path = rest.substr(0, question);
  if (config.path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("dataset '", text, "' has no path: ", usage));
  }
  if (question == std::string::npos) return config;
  for (const absl::string_view pair : absl::StrSplit(rest.substr(question + 1), '&')) {
    const std::pair<std::string, std::string> option =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (option.first.empty() || option.second.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("dataset '", text, "': option '", pair, "' is not key=value; ", usage));
    }
    config.options[option.first] = option.second;
  }
  return config;
}

std::string DatasetConfig::ToString() const {
  std::string text = absl::StrCat(name, "=", format, ":", path);
  char separator = '?';
  for (const auto& [key, value] : options) {
    absl::StrAppend(&text, std::string(1, separator), key, "=", value);
    separator = '&';
  }
  return text;
}

absl::StatusOr<std::shared_ptr<const Dataset>> OpenDataset(const DatasetConfig& config) {
  using Open = absl::StatusOr<std::shared_ptr<const Dataset>> (*)(const DatasetConfig&);
  static const std::map<std::string, Open> formats = {
      {"csv", OpenCsv}, {"idx", OpenIdx}, {"npy", OpenNpy}, {"text", OpenText}};
  const auto it = formats.find(config.format);
  if (it != formats.end()) {
    auto dataset = it->second(config);
    if (dataset.ok()) return dataset;
    return Annotate(dataset.status(), absl::StrCat("dataset '", config.name, "'"));
  }
  std::vector<std::string> names;
  for (const auto& [name, open] : formats) names.push_back(name);
  return absl::InvalidArgumentError(absl::StrCat("dataset '", config.name, "': unknown format '",
                                                 config.format, "'",
                                                 DidYouMean(config.format, names)));
}

}  // namespace fedwatt
