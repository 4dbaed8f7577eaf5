#include "server/selectors/draws.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace fedwatt {
namespace {

constexpr double kFinest = 1.0 / 4294967296.0;

// In [2^-32, 1].
std::vector<double> Relative(std::span<const double> weights) {
  double greatest = 0;
  for (const double weight : weights) {
    if (std::isfinite(weight)) greatest = std::max(greatest, weight);
  }
  std::vector<double> relative;
  relative.reserve(weights.size());
  for (const double weight : weights) {
    const double share = greatest > 0 && std::isfinite(weight) ? weight / greatest : kFinest;
    relative.push_back(std::max(share, kFinest));
  }
  return relative;
}

// Adds `missing` units to those that are not certain, evenly, each staying within 1 and kSurely.
void Spread(int64_t missing, const std::vector<bool>& certain, std::vector<uint64_t>* units) {
  while (missing != 0) {
    const auto open = static_cast<int64_t>(std::count(certain.begin(), certain.end(), false));
    int64_t extra = missing % open;
    const int64_t each = missing / open;
    for (size_t i = 0; i < units->size() && missing != 0; ++i) {
      if (certain[i]) continue;
      const int64_t one = (extra > 0 ? 1 : 0) - (extra < 0 ? 1 : 0);
      const auto before = static_cast<int64_t>((*units)[i]);
      const int64_t after = std::clamp<int64_t>(before + each + one, 1, kSurely);
      if (after == before + each + one) extra -= one;  // else another one takes it
      (*units)[i] = static_cast<uint64_t>(after);
      missing -= after - before;
    }
  }
}

// Marks those that are chosen surely; the rest keeps the ratio of its weights. Only the `count`
// greatest can be. Returns the sum of the weights that are left.
double MarkCertain(std::span<const double> weights, uint32_t count, std::vector<bool>* certain) {
  std::vector<uint32_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto greater = [weights](uint32_t a, uint32_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  };
  std::nth_element(order.begin(), order.begin() + count, order.end(), greater);
  std::sort(order.begin(), order.begin() + count, greater);
  std::vector<bool> is_top(weights.size());
  for (uint32_t i = 0; i < count; ++i) is_top[order[i]] = true;
  double rest = 0;
  for (size_t i = 0; i < weights.size(); ++i) rest += is_top[i] ? 0 : weights[i];
  std::vector<double> from(count + 1, rest);  // sum of all but the i greatest
  for (uint32_t i = count; i > 0; --i) from[i - 1] = from[i] + weights[order[i - 1]];
  uint32_t sure = 0;
  while (sure < count && (count - sure) * weights[order[sure]] >= from[sure]) {
    (*certain)[order[sure++]] = true;
  }
  return from[sure];
}

}  // namespace

std::vector<size_t> DrawUniform(std::span<const uint32_t> members, size_t count, Rng& rng) {
  std::vector<size_t> drawn(members.begin(), members.end());
  count = std::min(count, drawn.size());
  for (size_t i = 0; i < count; ++i) {
    std::swap(drawn[i], drawn[i + rng.UniformInt(drawn.size() - i)]);
  }
  drawn.resize(count);
  return drawn;
}

WeightedDraw::WeightedDraw(std::span<const double> weights)
    : tree_(weights.size() + 1), left_(weights.size()) {
  const std::vector<double> relative = Relative(weights);
  for (size_t i = 1; i < tree_.size(); ++i) {
    const auto weight = static_cast<uint64_t>(relative[i - 1] / kFinest);
    total_ += weight;
    tree_[i] += weight;
    const size_t parent = i + (i & (~i + 1));
    if (parent < tree_.size()) tree_[parent] += tree_[i];
  }
}

size_t WeightedDraw::Next(Rng& rng) {
  const uint64_t goal = rng.UniformInt(total_);
  uint64_t before = 0;
  size_t at = 0;
  for (size_t step = std::bit_floor(tree_.size() - 1); step > 0; step /= 2) {
    if (at + step < tree_.size() && before + tree_[at + step] <= goal) {
      at += step;
      before += tree_[at];
    }
  }
  // Its own weight: its node without the nodes below.
  uint64_t weight = tree_[at + 1];
  const size_t lowest = (at + 1) & ~at;
  for (size_t step = 1; step < lowest; step *= 2) weight -= tree_[at + 1 - step];
  for (size_t i = at + 1; i < tree_.size(); i += i & (~i + 1)) tree_[i] -= weight;
  total_ -= weight;
  --left_;
  return at;
}

std::vector<uint64_t> InclusionProbabilities(std::span<const double> weights, uint32_t count) {
  std::vector<uint64_t> units(weights.size(), kSurely);
  if (count >= weights.size()) return units;
  if (count == 0) return std::vector<uint64_t>(weights.size());
  const std::vector<double> relative = Relative(weights);
  std::vector<bool> certain(weights.size());
  const double sum = MarkCertain(relative, count, &certain);
  const auto sure = static_cast<uint32_t>(std::count(certain.begin(), certain.end(), true));
  const double factor = sum > 0 ? (count - sure) / sum : 0;
  int64_t missing = static_cast<int64_t>(count - sure) * static_cast<int64_t>(kSurely);
  for (size_t i = 0; i < units.size(); ++i) {
    if (certain[i]) continue;
    const double share = relative[i] * factor * static_cast<double>(kSurely);
    units[i] = std::clamp<uint64_t>(static_cast<uint64_t>(share), 1, kSurely);
    missing -= static_cast<int64_t>(units[i]);
  }
  if (sure < count) Spread(missing, certain, &units);
  return units;
}

std::vector<size_t> SystematicSample(std::span<const uint64_t> probabilities,
                                     std::span<const uint32_t> order, uint64_t start) {
  std::vector<size_t> sample;
  uint64_t passed = 0;
  uint64_t next = start;
  for (const uint32_t i : order) {
    passed += probabilities[i];
    if (passed <= next) continue;
    sample.push_back(i);
    next += kSurely;
  }
  return sample;
}

}  // namespace fedwatt
