#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/selectors/energy_gate.h"
#include "server/selectors/policy.h"
#include "server/selectors/utility.h"

// Oort's guided selection (Lai et al., OSDI'21), and EAFL's (Arouj, Abdelmoniem: "Towards
// energy-aware federated learning on battery-powered clients", FedEdge'22), which is the same with
// the power that is left in the score.
//
// Of the places, a share goes to clients that never took part (drawn by T / t where their speed is
// predicted); the share begins at `exploration` and is multiplied by exploration_decay each round,
// down to exploration_min. The rest is drawn with probability proportional to the score among those
// who have at least `cutoff` of the last score that would have a place. T is a quantile of the
// durations; the pacer moves it every pacer_rounds, see Pacer.
namespace fedwatt {

// Which quantile of the durations is the preferred one. Each round adds the utility of those who
// reported in the round before; after every window it is compared with the window before: within
// 10 % the quantile grows by 5 points (utility is flat: let slower clients in), five times more or
// less lowers it by as much.
class Pacer {
 public:
  Pacer(double start, uint32_t rounds) : rounds_(rounds), share_(start) {}
  double share() const { return share_; }
  void AddRound(double utility);
  // Four words.
  void AppendState(std::vector<uint64_t>* words) const;
  bool TakeState(std::span<const uint64_t> words);  // false: not one of ours; nothing changed

 private:
  uint32_t rounds_;
  double share_;
  uint64_t seen_ = 0;  // rounds of this window
  double sum_ = 0;
  double before_ = -1;  // sum of the window before; below 0: there is none
};

class OortPolicy final : public SelectionPolicy {
 public:
  static std::vector<ParamRule> Rules();
  // Oort.
  explicit OortPolicy(const std::map<std::string, double>& params);
  // EAFL: score = f Oort / greatest + (1 - f) share of the power that is left after the work, where
  // it is unknown the mean of the others; and `gate` keeps those out who cannot afford it.
  OortPolicy(const std::map<std::string, double>& params, double f, EnergyGate gate);

  absl::StatusOr<Selection> Pick(const SelectionRequest& request, std::span<const uint32_t> members,
                                 uint32_t count, Rng& rng) override;
  std::string SaveState() const override;
  absl::Status LoadState(const std::string& state) override;

 private:
  struct Blend {
    double f;
    EnergyGate gate;
  };
  void BlendPower(const SelectionRequest& request, std::span<const uint32_t> members,
                  std::vector<double>* scores) const;
  // Adds positions among the members to `chosen`.
  void Exploit(const SelectionRequest& request, std::span<const uint32_t> members,
               std::span<const MemberFigures> figures, std::span<const uint32_t> known,
               size_t count, std::optional<double> pace, Rng& rng,
               std::vector<size_t>* chosen) const;

  // Constant after construction.
  const std::map<std::string, double> params_;
  const std::optional<Blend> blend_;

  double exploration_;
  Pacer pacer_;
};

}  // namespace fedwatt
