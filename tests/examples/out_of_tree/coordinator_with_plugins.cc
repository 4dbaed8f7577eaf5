// A coordinator with a selector, a strategy and an aggregator of one's own: a program that links
// the coordinator's library and fills its registries. Nothing of fedwatt is changed or recompiled.

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "common/base/status_macros.h"
#include "common/model/plugin_params.h"
#include "server/app/coordinator_daemon.h"

namespace example {

using fedwatt::Aggregator;
using fedwatt::AggregatorConfig;
using fedwatt::Plan;
using fedwatt::PluginSpec;
using fedwatt::Rng;
using fedwatt::RoundKey;
using fedwatt::Selection;
using fedwatt::SelectionRequest;
using fedwatt::Selector;
using fedwatt::Strategy;
using fedwatt::UpdateView;

// Whoever took part least, the nearest name first.
class LeastBusy : public Selector {
 public:
  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng&) override {
    std::vector<size_t> order(request.candidates.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return request.candidates[a].participations < request.candidates[b].participations;
    });
    order.resize(std::min<size_t>(order.size(), request.count));
    return Selection{std::move(order), {}};
  }
};

absl::StatusOr<std::unique_ptr<Selector>> MakeLeastBusy(const PluginSpec& spec) {
  FW_RETURN_IF_ERROR(fedwatt::ReadParams("selector", spec, {}).status());
  return std::make_unique<LeastBusy>();
}

// Only a part of the mean is applied.
class Cautious : public Strategy {
 public:
  explicit Cautious(double share) : share_(share) {}

  absl::Status ConfigurePlan(const RoundKey&, Plan*) const override { return absl::OkStatus(); }

  absl::Status Apply(std::span<const float> mean_delta, std::span<float> parameters) override {
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i] += static_cast<float>(share_ * static_cast<double>(mean_delta[i]));
    }
    return absl::OkStatus();
  }

 private:
  const double share_;
};

absl::StatusOr<std::unique_ptr<Strategy>> MakeCautious(const PluginSpec& spec) {
  const fedwatt::ParamRule share{.name = "share", .default_value = 0.5, .min = 0.01, .max = 1};
  FW_ASSIGN_OR_RETURN(auto params, fedwatt::ReadParams("strategy", spec, {&share, 1}));
  return std::make_unique<Cautious>(params["share"]);
}

// The built-in mean, but every client counts the same.
class OneVoteEach : public Aggregator {
 public:
  explicit OneVoteEach(std::unique_ptr<Aggregator> mean) : mean_(std::move(mean)) {}

  absl::Status Accumulate(const UpdateView& update) override {
    return mean_->Accumulate(UnitWeight(update));
  }
  absl::Status MergeWith(Aggregator&& other) override {
    return mean_->MergeWith(std::move(*static_cast<OneVoteEach&>(other).mean_));
  }
  bool CanReport() const override { return mean_->CanReport(); }
  absl::StatusOr<fedwatt::AggregateResult> Report() && override {
    return std::move(*mean_).Report();
  }

 private:
  class UnitWeight : public UpdateView {
   public:
    explicit UnitWeight(const UpdateView& update) : update_(update) {}
    uint64_t weight() const override { return 1; }
    double clip_factor() const override { return update_.clip_factor(); }
    absl::Status ReadDelta(uint64_t begin, std::span<float> out) const override {
      return update_.ReadDelta(begin, out);
    }
    absl::StatusOr<std::vector<uint8_t>> ReadBuffers() const override {
      return update_.ReadBuffers();
    }

   private:
    const UpdateView& update_;
  };

  const std::unique_ptr<Aggregator> mean_;
};

absl::StatusOr<std::unique_ptr<Aggregator>> MakeOneVoteEach(const AggregatorConfig& config) {
  AggregatorConfig mean = config;
  mean.plugin = {"mean", config.plugin.params};
  FW_ASSIGN_OR_RETURN(auto made, fedwatt::Plugins::Builtin().MakeAggregator(mean));
  return std::make_unique<OneVoteEach>(std::move(made));
}

}  // namespace example

int main(int argc, char** argv) {
  fedwatt::Plugins plugins = fedwatt::Plugins::Builtin();
  plugins.selectors["least_busy"] = example::MakeLeastBusy;
  plugins.strategies["cautious"] = example::MakeCautious;
  plugins.aggregators["one_vote_each"] = example::MakeOneVoteEach;
  return fedwatt::server::CoordinatorMain({argv + 1, argv + argc}, plugins);
}
