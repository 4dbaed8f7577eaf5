// `uniform`: every eligible client with the same probability, without replacement.

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/plugin_params.h"
#include "server/selectors/selector.h"

namespace fedwatt {
namespace {

class Uniform final : public Selector {
 public:
  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng& rng) override {
    const auto& candidates = request.candidates;
    std::vector<size_t> order(candidates.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&candidates](size_t a, size_t b) {
      return candidates[a].client < candidates[b].client;
    });
    const size_t count = std::min<size_t>(request.count, order.size());
    for (size_t i = 0; i < count; ++i) {
      std::swap(order[i], order[i + rng.UniformInt(order.size() - i)]);
    }
    order.resize(count);
    Selection selection{std::move(order), {}};
    selection.inclusion.assign(count,
                               static_cast<double>(count) / static_cast<double>(candidates.size()));
    return selection;
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Selector>> MakeUniform(const PluginSpec& spec) {
  FW_RETURN_IF_ERROR(ReadParams("selector", spec, {}).status());
  return std::make_unique<Uniform>();
}

}  // namespace fedwatt
