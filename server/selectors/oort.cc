#include "server/selectors/oort.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/selectors/draws.h"
#include "server/selectors/state_words.h"

namespace fedwatt {
namespace {

constexpr double kPacerStep = 0.05;
constexpr double kFlat = 0.1;
constexpr double kJump = 5;
constexpr size_t kPacerWords = 4;
constexpr size_t kStateWords = kPacerWords + 1;

bool IsShare(double value) { return value >= 0 && value <= 1; }

// Of the members, by position among them.
struct Split {
  std::vector<uint32_t> known;  // took part before
  std::vector<uint32_t> fresh;
};

Split SplitMembers(const SelectionRequest& request, std::span<const uint32_t> members) {
  Split split;
  for (size_t i = 0; i < members.size(); ++i) {
    const bool known = request.candidates[members[i]].participations > 0;
    (known ? split.known : split.fresh).push_back(static_cast<uint32_t>(i));
  }
  return split;
}

void Explore(std::span<const MemberFigures> figures, std::span<const uint32_t> fresh, size_t count,
             std::optional<double> pace, Rng& rng, std::vector<size_t>* chosen) {
  if (count == 0) return;
  std::vector<double> weights;
  weights.reserve(fresh.size());
  for (const uint32_t i : fresh) {
    const std::optional<double>& seconds = figures[i].seconds;
    weights.push_back(pace && seconds && *seconds > *pace ? *pace / *seconds : 1);
  }
  WeightedDraw draw(weights);
  for (size_t i = 0; i < count; ++i) chosen->push_back(fresh[draw.Next(rng)]);
}

// What the last round's reports were worth, among those who are here.
double LastRoundUtility(uint64_t round, std::span<const MemberFigures> figures) {
  double sum = 0;
  for (const MemberFigures& member : figures) {
    if (member.last_round > 0 && member.last_round + 1 == round) sum += member.utility.value_or(0);
  }
  return std::isfinite(sum) ? sum : 0;
}

}  // namespace

void Pacer::AddRound(double utility) {
  sum_ += utility;
  if (++seen_ < rounds_) return;
  if (before_ >= 0) {
    const double change = std::abs(sum_ - before_);
    if (change <= kFlat * before_) {
      share_ = std::min(share_ + kPacerStep, 1.0);
    } else if (change >= kJump * before_) {
      share_ = std::max(share_ - kPacerStep, kPacerStep);
    }
  }
  before_ = std::isfinite(sum_) ? sum_ : 0;
  sum_ = 0;
  seen_ = 0;
}

void Pacer::AppendState(std::vector<uint64_t>* words) const {
  for (const double value : {share_, sum_, before_})
    words->push_back(std::bit_cast<uint64_t>(value));
  words->push_back(seen_);
}

bool Pacer::TakeState(std::span<const uint64_t> words) {
  const auto share = std::bit_cast<double>(words[0]);
  const auto sum = std::bit_cast<double>(words[1]);
  const auto before = std::bit_cast<double>(words[2]);
  const bool sound = IsShare(share) && std::isfinite(sum) && sum >= 0 && std::isfinite(before) &&
                     before >= -1 && words[3] < rounds_;
  if (!sound) return false;
  share_ = share;
  sum_ = sum;
  before_ = before;
  seen_ = words[3];
  return true;
}

std::vector<ParamRule> OortPolicy::Rules() {
  return {{"exploration", 0.9, 0, 1},     {"exploration_decay", 0.98, 0, 1},
          {"exploration_min", 0.2, 0, 1}, {"clip", 0.95, 0, 1},
          {"cutoff", 0.95, 0, 1},         {"staleness", 0.1, 0, 100},
          {"slow_power", 2, 0, 10},       {"duration_quantile", 0.3, 0, 1},
          {"pacer_rounds", 20, 1, 1e6}};
}

OortPolicy::OortPolicy(const std::map<std::string, double>& params)
    : params_(params),
      exploration_(params.at("exploration")),
      pacer_(params.at("duration_quantile"), static_cast<uint32_t>(params.at("pacer_rounds"))) {}

OortPolicy::OortPolicy(const std::map<std::string, double>& params, double f, EnergyGate gate)
    : params_(params),
      blend_(Blend{f, gate}),
      exploration_(params.at("exploration")),
      pacer_(params.at("duration_quantile"), static_cast<uint32_t>(params.at("pacer_rounds"))) {}

void OortPolicy::BlendPower(const SelectionRequest& request, std::span<const uint32_t> members,
                            std::vector<double>* scores) const {
  std::vector<std::optional<double>> power;
  power.reserve(members.size());
  double sum = 0;
  size_t known = 0;
  for (const uint32_t index : members) {
    power.push_back(blend_->gate.ShareLeft(request.candidates[index]));
    if (!power.back()) continue;
    sum += *power.back();
    ++known;
  }
  const double usual = known == 0 ? 0 : sum / static_cast<double>(known);
  const double greatest = std::max(*std::max_element(scores->begin(), scores->end()), 1e-300);
  for (size_t i = 0; i < scores->size(); ++i) {
    (*scores)[i] = blend_->f * (*scores)[i] / greatest + (1 - blend_->f) * power[i].value_or(usual);
  }
}

void OortPolicy::Exploit(const SelectionRequest& request, std::span<const uint32_t> members,
                         std::span<const MemberFigures> figures, std::span<const uint32_t> known,
                         size_t count, std::optional<double> pace, Rng& rng,
                         std::vector<size_t>* chosen) const {
  if (count == 0) return;
  std::vector<MemberFigures> of_known;
  std::vector<uint32_t> candidates;
  for (const uint32_t i : known) {
    of_known.push_back(figures[i]);
    candidates.push_back(members[i]);
  }
  std::vector<double> scores =
      OortScores(request.key.round, of_known,
                 {params_.at("clip"), params_.at("staleness"), params_.at("slow_power"), pace});
  if (blend_) BlendPower(request, candidates, &scores);
  std::vector<double> sorted = scores;
  const auto last = sorted.begin() + static_cast<ptrdiff_t>(count - 1);
  std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
  const double least = *last * params_.at("cutoff");
  std::vector<uint32_t> pool;
  std::vector<double> weights;
  for (size_t i = 0; i < known.size(); ++i) {
    if (scores[i] < least) continue;
    pool.push_back(known[i]);
    weights.push_back(scores[i]);
  }
  WeightedDraw draw(weights);
  for (size_t i = 0; i < count; ++i) chosen->push_back(pool[draw.Next(rng)]);
}

absl::StatusOr<Selection> OortPolicy::Pick(const SelectionRequest& request,
                                           std::span<const uint32_t> members, uint32_t count,
                                           Rng& rng) {
  const std::vector<MemberFigures> figures = FiguresOf(request, members);
  const Split split = SplitMembers(request, members);
  pacer_.AddRound(LastRoundUtility(request.key.round, figures));
  const std::optional<double> pace = DurationQuantile(figures, pacer_.share());
  const auto wanted = static_cast<size_t>(exploration_ * count);
  const size_t most_known = std::min<size_t>(split.known.size(), count - wanted);
  const size_t explored = std::min(split.fresh.size(), count - most_known);
  Selection selection;
  Exploit(request, members, figures, split.known, count - explored, pace, rng, &selection.chosen);
  Explore(figures, split.fresh, explored, pace, rng, &selection.chosen);
  for (size_t& chosen : selection.chosen) chosen = members[chosen];
  exploration_ = std::min(exploration_, std::max(exploration_ * params_.at("exploration_decay"),
                                                 params_.at("exploration_min")));
  return selection;
}

std::string OortPolicy::SaveState() const {
  std::vector<uint64_t> words = {std::bit_cast<uint64_t>(exploration_)};
  pacer_.AppendState(&words);
  return FormatStateWords(words);
}

absl::Status OortPolicy::LoadState(const std::string& state) {
  FW_ASSIGN_OR_RETURN(const std::vector<uint64_t> words,
                      ParseStateWords("oort", state, kStateWords));
  const auto exploration = std::bit_cast<double>(words[0]);
  if (!IsShare(exploration) || !pacer_.TakeState(std::span(words).subspan(1))) {
    return absl::InvalidArgumentError("oort state: its figures are out of range");
  }
  exploration_ = exploration;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Selector>> MakeOort(const PluginSpec& spec) {
  FW_ASSIGN_OR_RETURN(const auto params,
                      ReadSelectorParams(spec, OortPolicy::Rules(), BatteryGate::kOff));
  return MakePolicySelector(spec.name, params, std::make_unique<OortPolicy>(params));
}

// `f`: the share of Oort's score; the paper's 0.25.
absl::StatusOr<std::unique_ptr<Selector>> MakeEafl(const PluginSpec& spec) {
  std::vector<ParamRule> rules = OortPolicy::Rules();
  rules.push_back({"f", 0.25, 0, 1});
  FW_ASSIGN_OR_RETURN(const auto params, ReadSelectorParams(spec, rules, BatteryGate::kOn));
  return MakePolicySelector(
      spec.name, params, std::make_unique<OortPolicy>(params, params.at("f"), EnergyGate(params)));
}

}  // namespace fedwatt
