#include "server/selectors/canonical_order.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace fedwatt {
namespace {

struct Key {
  uint64_t head;  // eight bytes of the name, big endian
  uint32_t index;
};

bool ByName(const Candidate& a, const Candidate& b) { return a.client < b.client; }

size_t SharedPrefix(std::span<const Candidate> candidates) {
  const std::string& first = candidates.front().client;
  size_t shared = first.size();
  for (const Candidate& candidate : candidates) {
    const std::string& name = candidate.client;
    const size_t most = std::min(shared, name.size());
    shared = static_cast<size_t>(
        std::mismatch(name.begin(), name.begin() + static_cast<ptrdiff_t>(most), first.begin())
            .first -
        name.begin());
  }
  return shared;
}

uint64_t HeadOf(const std::string& name, size_t from) {
  uint64_t head = 0;
  for (size_t i = from; i < from + 8; ++i) {
    head = head << 8 | (i < name.size() ? static_cast<uint8_t>(name[i]) : 0);
  }
  return head;
}

}  // namespace

std::vector<uint32_t> CanonicalOrder(std::span<const Candidate> candidates) {
  std::vector<uint32_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0u);
  if (std::is_sorted(candidates.begin(), candidates.end(), ByName)) return order;
  // Names lie scattered in memory: nearly all comparisons are decided by eight bytes at hand.
  const size_t shared = SharedPrefix(candidates);
  std::vector<Key> keys;
  keys.reserve(candidates.size());
  for (const uint32_t index : order)
    keys.push_back({HeadOf(candidates[index].client, shared), index});
  std::sort(keys.begin(), keys.end(), [candidates](const Key& a, const Key& b) {
    if (a.head != b.head) return a.head < b.head;
    return candidates[a.index].client < candidates[b.index].client;
  });
  std::transform(keys.begin(), keys.end(), order.begin(), [](const Key& key) { return key.index; });
  return order;
}

}  // namespace fedwatt
