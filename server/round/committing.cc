// From the mean to a durable model: Aggregating, Applying, Committing.

#include "server/round/round.h"

namespace fedwatt {

RoundActions Round::On(const Aggregated&) {
  if (phase_ != RoundPhase::kAggregating) return {};
  if (key_.evaluation) {
    phase_ = RoundPhase::kCommitting;
    return {CommitRound{model_}};
  }
  phase_ = RoundPhase::kApplying;
  return {ApplyUpdate{}};
}

RoundActions Round::On(const Applied& e) {
  if (phase_ != RoundPhase::kApplying) return {};
  phase_ = RoundPhase::kCommitting;
  model_ = e.model;
  return {CommitRound{model_}};
}

RoundActions Round::On(const CommitDurable&) {
  if (phase_ != RoundPhase::kCommitting) return {};
  phase_ = RoundPhase::kCommitted;
  return {};
}

}  // namespace fedwatt
