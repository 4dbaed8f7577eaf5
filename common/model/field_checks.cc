#include "common/model/field_checks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/suggest.h"
#include "common/model/ids.h"

namespace fedwatt {
namespace {

absl::Status Refuse(const std::string& key, const std::string& value, const std::string& rule,
                    const std::string& example) {
  std::string hint;
  if (!example.empty()) {
    const size_t dot = key.rfind('.');
    hint = absl::StrCat("; write e.g. ", dot == std::string::npos ? key : key.substr(dot + 1),
                        " = ", example);
  }
  return absl::InvalidArgumentError(absl::StrCat(key, " = ", value, ": ", rule, hint));
}

std::string Quoted(const std::string& text) {
  constexpr size_t kShown = 64;
  std::string shown = text.substr(0, kShown);
  for (char& c : shown) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return absl::StrCat("\"", shown, text.size() > kShown ? "...\"" : "\"");
}

template <typename T>
absl::Status CheckRange(const std::string& key, T value, T min, T max, const std::string& example) {
  if (value < min) {
    return Refuse(key, absl::StrCat(value), absl::StrCat("must be at least ", min), example);
  }
  if (value > max) {
    return Refuse(key, absl::StrCat(value), absl::StrCat("must be at most ", max), example);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCount(const std::string& key, uint64_t value, uint64_t min, uint64_t max,
                        const std::string& example) {
  return CheckRange(key, value, min, max, example);
}

absl::Status CheckSigned(const std::string& key, int64_t value, int64_t min, int64_t max,
                         const std::string& example) {
  return CheckRange(key, value, min, max, example);
}

absl::Status CheckReal(const std::string& key, double value, double min, double max,
                       const std::string& example) {
  if (!std::isfinite(value)) {
    return Refuse(key, absl::StrCat(value), "must be a finite number", example);
  }
  return CheckRange(key, value, min, max, example);
}

absl::Status CheckFinite(const std::string& key, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return Refuse(key, absl::StrCat(value), "must be a finite number", "");
}

absl::Status CheckText(const std::string& key, const std::string& value, size_t max) {
  if (value.size() > max) {
    return Refuse(key, Quoted(value),
                  absl::StrCat("has ", value.size(), " bytes, must have at most ", max), "");
  }
  const bool control = std::any_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (control) return Refuse(key, Quoted(value), "must not contain control characters", "");
  return absl::OkStatus();
}

absl::Status CheckName(const std::string& key, const std::string& value, size_t max,
                       const std::string& example) {
  if (value.empty()) return Refuse(key, "\"\"", "must not be empty", example);
  return CheckText(key, value, max);
}

absl::Status CheckToken(const std::string& key, const std::string& value,
                        const std::string& example) {
  constexpr size_t kMaxToken = 64;
  bool good = !value.empty() && value.size() <= kMaxToken &&
              absl::ascii_isalnum(static_cast<unsigned char>(value[0]));
  for (const char c : value) {
    good = good &&
           (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-');
  }
  if (good) return absl::OkStatus();
  return Refuse(key, Quoted(value),
                absl::StrCat("must be 1 to ", kMaxToken,
                             " letters, digits, '.', '_' or '-', beginning with a letter or digit"),
                example);
}

absl::Status CheckId(const std::string& key, const std::string& value) {
  if (IsId(value)) return absl::OkStatus();
  return Refuse(key, Quoted(value), "is not an id (1 to 128 printable ASCII characters)", "");
}

absl::Status CheckWord(const std::string& key, const std::string& value,
                       std::span<const std::string> words) {
  if (std::find(words.begin(), words.end(), value) != words.end()) return absl::OkStatus();
  const auto nearest = NearestName(value, words);
  return Refuse(key, Quoted(value),
                absl::StrCat("must be one of ", absl::StrJoin(words, ", "),
                             nearest ? absl::StrCat("; did you mean \"", *nearest, "\"?") : ""),
                "");
}

}  // namespace fedwatt
