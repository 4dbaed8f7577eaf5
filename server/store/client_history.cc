#include "server/store/client_history.h"

#include <utility>

namespace fedwatt {

std::vector<std::string> AddParticipation(const Participation& participation, const Report& report,
                                          ClientHistory* history) {
  ++history->participations;
  history->last_round = participation.round;
  const UpdateMetrics& metrics = report.metrics;
  // What the job's model loses on this client's data; without it, what the trained one does.
  if (metrics.before || metrics.after) {
    history->last_loss = metrics.before ? metrics.before : metrics.after;
  }
  if (!participation.device_class.empty()) {
    history->cost.device_class = participation.device_class;
  }
  if (!participation.sketch.empty()) {
    history->sketch.assign(participation.sketch.begin(), participation.sketch.end());
  }
  const ClaimLimits limits = participation.reservation == nullptr
                                 ? ClaimLimits()
                                 : LimitsOf(*participation.reservation, participation.now_ms);
  CheckedClaim checked =
      CheckClaim(limits, CostClaimOf(metrics, report.energy, history->cost.device_class));
  if (checked.claim.seconds) history->last_seconds = checked.claim.seconds;
  AddClaim(checked.claim, &history->cost);
  return std::move(checked.flags);
}

}  // namespace fedwatt
