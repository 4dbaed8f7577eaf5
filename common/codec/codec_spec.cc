#include "common/codec/codec_spec.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

bool IsWord(const std::string& text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-' || c == '+';
    if (!word) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<CodecSpec> CodecSpec::Parse(const std::string& text) {
  const auto refuse = [&text](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat("codec \"", text, "\": ", why,
                                                   "; write NAME or NAME:KEY=VALUE,... as in "
                                                   "\"eden:bits=2\""));
  };
  CodecSpec spec;
  const size_t colon = text.find(':');
  spec.name = text.substr(0, colon);
  if (!IsWord(spec.name)) return refuse("has no name");
  if (colon == std::string::npos) return spec;
  const std::vector<std::string> pairs = absl::StrSplit(text.substr(colon + 1), ',');
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) return refuse(absl::StrCat("\"", pair, "\" has no value"));
    const std::string key = pair.substr(0, equals);
    const std::string value = pair.substr(equals + 1);
    if (!IsWord(key) || !IsWord(value)) {
      return refuse(absl::StrCat("\"", pair, "\" is not KEY=VALUE"));
    }
    if (!spec.params.emplace(key, value).second) {
      return refuse(absl::StrCat("\"", key, "\" is there twice"));
    }
  }
  return spec;
}

std::string CodecSpec::ToString() const {
  if (params.empty()) return name;
  return absl::StrCat(name, ":", absl::StrJoin(params, ",", absl::PairFormatter("=")));
}

absl::StatusOr<double> CodecParams::Number(const std::string& key, double fallback, double min,
                                           double max) {
  known_.insert(key);
  const auto it = spec_.params.find(key);
  if (it == spec_.params.end()) return fallback;
  double value = 0;
  if (!absl::SimpleAtod(it->second, &value) || !(value >= min && value <= max)) {
    return absl::InvalidArgumentError(absl::StrCat("codec \"", spec_.name, "\": ", key, " = ",
                                                   it->second, ": must be a number from ", min,
                                                   " to ", max));
  }
  return value;
}

absl::StatusOr<int> CodecParams::Integer(const std::string& key, int fallback, int min, int max) {
  FW_ASSIGN_OR_RETURN(const double value, Number(key, fallback, min, max));
  if (value != std::floor(value)) {
    return absl::InvalidArgumentError(absl::StrCat("codec \"", spec_.name, "\": ", key, " = ",
                                                   value, ": must be a whole number from ", min,
                                                   " to ", max));
  }
  return static_cast<int>(value);
}

absl::StatusOr<std::string> CodecParams::Word(const std::string& key, const std::string& fallback,
                                              std::span<const char* const> allowed) {
  known_.insert(key);
  const auto it = spec_.params.find(key);
  if (it == spec_.params.end()) return fallback;
  std::vector<std::string> words;
  for (const char* const word : allowed) {
    if (it->second == word) return it->second;
    words.emplace_back(word);
  }
  return absl::InvalidArgumentError(absl::StrCat("codec \"", spec_.name, "\": ", key, " = ",
                                                 it->second, ": must be one of ",
                                                 absl::StrJoin(words, ", ")));
}

absl::Status CodecParams::Finish() const {
  for (const auto& [key, value] : spec_.params) {
    if (known_.contains(key)) continue;
    const std::vector<std::string> known(known_.begin(), known_.end());
    return absl::InvalidArgumentError(absl::StrCat("codec \"", spec_.name, "\" has no parameter \"",
                                                   key, "\"", DidYouMean(key, known)));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
