// `round_robin`: clients take turns. They stand on a ring, at a place computed from their names;
// each selection takes the next ones clockwise from where the last ended. So of those who are there
// everyone is chosen once before anyone is chosen twice; a newcomer or one that keeps failing waits
// its turn like all others; and the state is one place on the ring, whatever the number of clients.

#include <algorithm>
#include <charconv>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/plugin_params.h"
#include "server/selectors/selector.h"

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

constexpr size_t kStateDigits = 16;

class RoundRobin final : public Selector {
 public:
  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng&) override {
    struct Turn {
      uint64_t distance;  // clockwise from the last one chosen; 0 is next, itself is farthest
      size_t index;
    };
    const auto& candidates = request.candidates;
    std::vector<Turn> turns;
    turns.reserve(candidates.size());
    for (size_t i = 0; i < candidates.size(); ++i) {
      turns.push_back({Place(candidates[i].client) - last_ - 1, i});
    }
    std::sort(turns.begin(), turns.end(), [&candidates](const Turn& a, const Turn& b) {
      return std::tie(a.distance, candidates[a.index].client) <
             std::tie(b.distance, candidates[b.index].client);
    });
    turns.resize(std::min<size_t>(request.count, turns.size()));
    Selection selection;
    for (const Turn& turn : turns) selection.chosen.push_back(turn.index);
    if (!turns.empty()) last_ += turns.back().distance + 1;
    return selection;
  }

  std::string SaveState() const override {
    return absl::StrCat(absl::Hex(last_, absl::kZeroPad16));
  }

  absl::Status LoadState(const std::string& state) override {
    uint64_t last = 0;
    const char* const end = state.data() + state.size();
    const auto [stop, error] = std::from_chars(state.data(), end, last, 16);
    if (state.size() != kStateDigits || error != std::errc() || stop != end) {
      return absl::InvalidArgumentError(absl::StrCat("round_robin state of ", state.size(),
                                                     " bytes: must be ", kStateDigits,
                                                     " hexadecimal digits"));
    }
    last_ = last;
    return absl::OkStatus();
  }

 private:
  uint64_t last_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeRoundRobin(const PluginSpec& spec) {
  FW_RETURN_IF_ERROR(ReadParams("selector", spec, {}).status());
  return std::make_unique<RoundRobin>();
}

}  // namespace fedwatt
