// `joule`: as much learning per joule as the fleet allows, and still a fair sample.
//
// Who cannot afford the work is out (energy_gate.h). Of the others, with E the predicted joules:
//
//   score = Oort^utility_power * (E_left / E_avail)^battery_power * (E_mid / E)^energy_power
//                * (CI_mid / CI)^carbon_power * W^turn_power
//
// where W are the rounds since it took part, E_mid and CI_mid are the medians of what is known, and
// the factors of joules and carbon are bounded to [1/32, 32], whatever the power, so that no claim
// wins or loses a place by itself; a factor of which a figure is unknown is 1. With a share
// `exploration` of probability spread evenly, client i takes part with
//
//   p_i = min(1, K w_i / sum w),   w_i = (1 - exploration) score_i / sum score + exploration / n,
//
// what is beyond 1 redistributed (draws.h). Sampling is systematic, in an order that is drawn anew
// each time (Goodman and Kish 1950): in a fixed one, clients that are alike and stand at equal
// distances would take part all together or not at all. The sum of the p_i is exactly K, so exactly
// K are chosen, and weighing reports by 1 / p_i is unbiased.
//
// With balance_draws above 1 so many samples are drawn, and the one of them takes part whose
// updates balance best (BalanceJudge), so that one round's labels are not another's: clients' last
// updates tell, without labels, whose data are alike. This is the aim of DivFL (Balakrishnan et
// al., ICLR'22), by rejection instead of a submodular cover. The p_i are then not exact, and none
// are given.
//
// A pure function of the request: no state. Source: ours, see docs/selection.md.

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <optional>

#include "common/base/status_macros.h"
#include "common/tensor/update_sketch.h"
#include "server/selectors/draws.h"
#include "server/selectors/energy_gate.h"
#include "server/selectors/policy.h"
#include "server/selectors/portable_math.h"
#include "server/selectors/utility.h"

namespace fedwatt {
namespace {

constexpr double kMaxFactor = 32;         // of joules and carbon
constexpr double kLeastLeft = 1.0 / 16;   // share of a battery
constexpr uint64_t kMostDrawn = 1 << 21;  // draws times members
constexpr double kMaxCarbon = 1e5;        // g/kWh; coal is at 1000

std::optional<double> Carbon(const Candidate& candidate) {
  const std::optional<double>& carbon = candidate.carbon_g_per_kwh;
  return carbon && *carbon >= 0 && *carbon <= kMaxCarbon ? carbon : std::nullopt;
}

std::optional<double> Joules(const Candidate& candidate) {
  const std::optional<CostPrediction> cost = BelievableCost(candidate);
  return cost ? std::optional(cost->joules) : std::nullopt;
}

// Rounds since it took part; since the job's beginning, where it never did.
double RoundsWaited(uint64_t round, const Candidate& candidate) {
  return static_cast<double>(round > candidate.last_round ? round - candidate.last_round : 1);
}

// Multiplies each score by (middle / figure)^power, bounded.
void PreferLess(std::span<const std::optional<double>> figures, double power,
                std::vector<double>* scores) {
  if (power == 0) return;
  std::vector<double> known;
  for (const std::optional<double>& value : figures) {
    if (value) known.push_back(*value);
  }
  if (known.empty()) return;
  const double middle = Quantile(std::move(known), 0.5);
  if (middle <= 0) return;
  for (size_t i = 0; i < figures.size(); ++i) {
    if (!figures[i]) continue;
    const double value = *figures[i];
    const double ratio = value * kMaxFactor > middle ? middle / value : kMaxFactor;
    const double factor = PortablePow(std::max(ratio, 1 / kMaxFactor), power);
    (*scores)[i] *= std::clamp(factor, 1 / kMaxFactor, kMaxFactor);
  }
}

// How far a sample's updates, taken together, point away from where all clients' do: the length of
// the sum of its sketches' differences from their mean, times the square root of its joules. A
// client whose sketch is unknown is no different.
class BalanceJudge {
 public:
  // The sketches must outlive it.
  BalanceJudge(const SelectionRequest& request, std::span<const uint32_t> members) {
    std::vector<double> known_joules;
    size_t known = 0;
    for (const uint32_t member : members) {
      const Candidate& candidate = request.candidates[member];
      joules_.push_back(Joules(candidate).value_or(-1));
      if (joules_.back() >= 0) known_joules.push_back(joules_.back());
      const bool has = candidate.sketch.size() == kSketchSize;
      sketches_.push_back(has ? candidate.sketch : std::span<const float>());
      if (!has) continue;
      ++known;
      for (size_t d = 0; d < kSketchSize; ++d) mean_[d] += static_cast<double>(candidate.sketch[d]);
    }
    for (double& value : mean_) value /= static_cast<double>(std::max<size_t>(known, 1));
    const double usual = known_joules.empty() ? 1 : Quantile(std::move(known_joules), 0.5);
    for (double& joules : joules_) joules = joules >= 0 ? joules : usual;
  }

  double Imbalance(std::span<const size_t> sample) const {
    std::array<double, kSketchSize> sum{};
    double joules = 0;
    for (const size_t i : sample) {
      joules += joules_[i];
      if (sketches_[i].empty()) continue;
      for (size_t d = 0; d < kSketchSize; ++d) {
        sum[d] += static_cast<double>(sketches_[i][d]) - mean_[d];
      }
    }
    double squares = 0;
    for (const double value : sum) squares += value * value;
    return squares * joules;
  }

 private:
  std::vector<std::span<const float>> sketches_;
  std::vector<double> joules_;
  std::array<double, kSketchSize> mean_{};
};

class Joule final : public SelectionPolicy {
 public:
  explicit Joule(const std::map<std::string, double>& params) : params_(params), gate_(params) {}

  bool DefinesInclusion() const override { return Draws(1) < 2; }
  bool WantsSketches() const override { return !DefinesInclusion(); }

  absl::StatusOr<Selection> Pick(const SelectionRequest& request, std::span<const uint32_t> members,
                                 uint32_t count, Rng& rng) override {
    const std::vector<uint64_t> probabilities =
        InclusionProbabilities(Weights(request, members), count);
    std::vector<uint32_t> order(members.size());
    std::iota(order.begin(), order.end(), 0u);
    const auto draw = [&] {
      rng.Shuffle(order);
      return SystematicSample(probabilities, order, rng.UniformInt(kSurely));
    };
    std::vector<size_t> best = draw();
    if (const uint64_t draws = Draws(members.size()); draws > 1) {
      const BalanceJudge judge(request, members);
      double least = judge.Imbalance(best);
      for (uint64_t drawn = 1; drawn < draws; ++drawn) {
        std::vector<size_t> sample = draw();
        const double imbalance = judge.Imbalance(sample);
        if (imbalance >= least) continue;
        best = std::move(sample);
        least = imbalance;
      }
    }
    Selection selection;
    for (const size_t i : best) {
      selection.chosen.push_back(members[i]);
      selection.inclusion.push_back(static_cast<double>(probabilities[i]) /
                                    static_cast<double>(kSurely));
    }
    return selection;
  }

 private:
  // Samples to choose one of; fewer in large fleets, where each takes long.
  uint64_t Draws(size_t members) const {
    const auto wanted = static_cast<uint64_t>(params_.at("balance_draws"));
    return std::clamp<uint64_t>(kMostDrawn / std::max<size_t>(members, 1), 1,
                                std::max<uint64_t>(wanted, 1));
  }

  std::vector<double> Weights(const SelectionRequest& request,
                              std::span<const uint32_t> members) const {
    const std::vector<MemberFigures> figures = FiguresOf(request, members);
    std::vector<double> scores =
        OortScores(request.key.round, figures,
                   {params_.at("clip"), params_.at("staleness"), params_.at("slow_power"),
                    DurationQuantile(figures, params_.at("duration_quantile"))});
    const double utility_power = params_.at("utility_power");
    for (double& score : scores) score = PortablePow(score, utility_power);
    std::vector<std::optional<double>> joules;
    std::vector<std::optional<double>> carbon;
    joules.reserve(members.size());
    carbon.reserve(members.size());
    const double battery_power = params_.at("battery_power");
    const double turn_power = params_.at("turn_power");
    for (size_t i = 0; i < members.size(); ++i) {
      const Candidate& candidate = request.candidates[members[i]];
      joules.push_back(Joules(candidate));
      carbon.push_back(Carbon(candidate));
      scores[i] *= PortablePow(RoundsWaited(request.key.round, candidate), turn_power);
      const std::optional<double> left = gate_.ShareLeft(candidate);
      if (left) scores[i] *= PortablePow(std::max(*left, kLeastLeft), battery_power);
    }
    PreferLess(joules, params_.at("energy_power"), &scores);
    PreferLess(carbon, params_.at("carbon_power"), &scores);
    double sum = 0;
    for (const double score : scores) sum += score;
    const double floor = params_.at("exploration") / static_cast<double>(members.size());
    const double factor = sum > 0 ? (1 - params_.at("exploration")) / sum : 0;
    for (double& score : scores) score = score * factor + floor;
    return scores;
  }

  const std::map<std::string, double> params_;
  const EnergyGate gate_;
};

}  // namespace

// The defaults are those that docs/experiments/energy-selection.md found best.
absl::StatusOr<std::unique_ptr<Selector>> MakeJoule(const PluginSpec& spec) {
  const auto unbiased = spec.params.find("unbiased");
  const double draws = unbiased != spec.params.end() && unbiased->second > 0 ? 0 : 100;
  const std::vector<ParamRule> rules = {
      {"utility_power", 0, 0, 8},      {"battery_power", 0, 0, 8},
      {"energy_power", 2, 0, 8},       {"carbon_power", 0.5, 0, 8},
      {"turn_power", 0, 0, 8},         {"balance_draws", draws, 0, 1000},
      {"exploration", 0.02, 0.001, 1}, {"clip", 0.95, 0, 1},
      {"staleness", 0.1, 0, 100},      {"slow_power", 2, 0, 10},
      {"duration_quantile", 0.8, 0, 1}};
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, rules, BatteryGate::kOn));
  return MakePolicySelector(spec.name, params, std::make_unique<Joule>(params));
}

}  // namespace fedwatt
