// `round_robin`: clients take turns. They stand on a ring, at a place computed from their names;
// each selection takes the next ones clockwise from where the last ended. So of those who are there
// everyone is chosen once before anyone is chosen twice; a newcomer or one that keeps failing waits
// its turn like all others; and the state is one place on the ring, whatever the number of clients.

#include <algorithm>
#include <tuple>

#include "common/base/status_macros.h"
#include "server/selectors/policy.h"
#include "server/selectors/state_words.h"

namespace fedwatt {
namespace {

// FNV-1a 64, then splitmix64's mixer, so that "device-1" and "device-2" do not stand side by side.
uint64_t Place(const std::string& client) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : client) {
    h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

class RoundRobin final : public SelectionPolicy {
 public:
  absl::StatusOr<Selection> Pick(const SelectionRequest& request, std::span<const uint32_t> members,
                                 uint32_t count, Rng&) override {
    struct Turn {
      uint64_t distance;  // clockwise from the last one chosen; 0 is next, itself is farthest
      uint32_t index;
    };
    const auto& candidates = request.candidates;
    std::vector<Turn> turns;
    turns.reserve(members.size());
    for (const uint32_t i : members) turns.push_back({Place(candidates[i].client) - last_ - 1, i});
    const auto end = turns.begin() + count;
    std::partial_sort(turns.begin(), end, turns.end(), [&candidates](const Turn& a, const Turn& b) {
      return std::tie(a.distance, candidates[a.index].client) <
             std::tie(b.distance, candidates[b.index].client);
    });
    turns.erase(end, turns.end());
    Selection selection;
    for (const Turn& turn : turns) selection.chosen.push_back(turn.index);
    last_ += turns.back().distance + 1;
    return selection;
  }

  std::string SaveState() const override { return FormatStateWords({&last_, 1}); }

  absl::Status LoadState(const std::string& state) override {
    FW_ASSIGN_OR_RETURN(const std::vector<uint64_t> words,
                        ParseStateWords("round_robin", state, 1));
    last_ = words.front();
    return absl::OkStatus();
  }

 private:
  uint64_t last_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeRoundRobin(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, {}, BatteryGate::kOff));
  return MakePolicySelector(spec.name, params, std::make_unique<RoundRobin>());
}

}  // namespace fedwatt
