#include "server/selectors/state_words.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr size_t kDigits = 16;

}  // namespace

std::string FormatStateWords(std::span<const uint64_t> words) {
  std::string text;
  for (const uint64_t word : words) absl::StrAppend(&text, absl::Hex(word, absl::kZeroPad16));
  return text;
}

absl::StatusOr<std::vector<uint64_t>> ParseStateWords(const std::string& selector,
                                                      const std::string& state, size_t count) {
  const absl::Status foreign = absl::InvalidArgumentError(
      absl::StrCat(selector, " state of ", state.size(), " bytes: must be ", count * kDigits,
                   " hexadecimal digits"));
  if (state.size() != count * kDigits) return foreign;
  std::vector<uint64_t> words(count);
  for (size_t i = 0; i < count; ++i) {
    const char* const begin = state.data() + i * kDigits;
    const auto [stop, error] = std::from_chars(begin, begin + kDigits, words[i], 16);
    if (error != std::errc() || stop != begin + kDigits) return foreign;
  }
  return words;
}

}  // namespace fedwatt
