#include "common/base/suggest.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fedwatt {
namespace {

constexpr size_t kMaxListed = 12;
constexpr size_t kMaxNameLength = 256;  // the table below is quadratic
constexpr size_t kMinPrefix = 3;

// Optimal string alignment distance.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> NearestName(const std::string& name,
                                       std::span<const std::string> candidates) {
  if (name.size() > kMaxNameLength) return std::nullopt;
  const std::string wanted = absl::AsciiStrToLower(name);
  size_t best_distance = name.size() / 3 + 2;
  std::optional<std::string> best;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kMaxNameLength) continue;
    const size_t distance = EditDistance(wanted, absl::AsciiStrToLower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (best.has_value() || wanted.size() < kMinPrefix) return best;
  const auto longer = std::find_if(
      candidates.begin(), candidates.end(),
      [&](const auto& candidate) { return absl::StartsWithIgnoreCase(candidate, wanted); });
  if (longer != candidates.end()) best = *longer;
  return best;
}

std::string DidYouMean(const std::string& name, std::span<const std::string> candidates) {
  if (const std::optional<std::string> nearest = NearestName(name, candidates)) {
    return absl::StrCat("; did you mean \"", *nearest, "\"?");
  }
  if (candidates.empty()) return "";
  const auto listed = candidates.first(std::min(candidates.size(), kMaxListed));
  return absl::StrCat("; known: ", absl::StrJoin(listed, ", "),
                      listed.size() < candidates.size() ? ", ..." : "");
}

}  // namespace fedwatt
