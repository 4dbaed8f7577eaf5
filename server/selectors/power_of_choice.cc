// `power_of_choice` (Cho, Wang, Joshi: "Towards understanding biased client selection in federated
// learning", AISTATS'22): d clients are drawn uniformly, and of these the ones with the highest
// local losses take part. The loss is that of the client's last report, or the bucket that it
// tells; one that nobody knows yet counts as highest.
//
// d: how many are drawn; 0 (default): twice as many as take part.

#include <algorithm>
#include <limits>
#include <memory>

#include "common/base/status_macros.h"
#include "server/selectors/draws.h"
#include "server/selectors/policy.h"
#include "server/selectors/utility.h"

namespace fedwatt {
namespace {

class PowerOfChoice final : public SelectionPolicy {
 public:
  explicit PowerOfChoice(uint64_t d) : d_(d) {}

  absl::StatusOr<Selection> Pick(const SelectionRequest& request, std::span<const uint32_t> members,
                                 uint32_t count, Rng& rng) override {
    struct Drawn {
      double loss;
      size_t index;
    };
    const uint64_t wanted = std::max<uint64_t>(d_ == 0 ? uint64_t{2} * count : d_, count);
    std::vector<Drawn> drawn;
    for (const size_t index : DrawUniform(members, wanted, rng)) {
      const std::optional<double> loss = MeanLoss(request.candidates[index]);
      drawn.push_back({loss.value_or(std::numeric_limits<double>::infinity()), index});
    }
    // Stable: equal losses stay in the order in which they were drawn.
    std::stable_sort(drawn.begin(), drawn.end(),
                     [](const Drawn& a, const Drawn& b) { return a.loss > b.loss; });
    Selection selection;
    for (uint32_t i = 0; i < count; ++i) selection.chosen.push_back(drawn[i].index);
    return selection;
  }

 private:
  const uint64_t d_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakePowerOfChoice(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params,
                      ReadSelectorParams(spec, {{"d", 0, 0, 1e9}}, BatteryGate::kOff));
  return MakePolicySelector(spec.name, params,
                            std::make_unique<PowerOfChoice>(static_cast<uint64_t>(params.at("d"))));
}

}  // namespace fedwatt
