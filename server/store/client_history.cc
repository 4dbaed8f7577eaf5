#include "server/store/client_history.h"

#include <numeric>

namespace fedwatt {

void AddParticipation(uint64_t round, const std::string& device_class, const Report& report,
                      ClientHistory* history) {
  ++history->participations;
  history->last_round = round;
  const UpdateMetrics& metrics = report.metrics;
  // What the job's model loses on this client's data; without it, what the trained one does.
  if (metrics.before || metrics.after) {
    history->last_loss = metrics.before ? metrics.before : metrics.after;
  }
  if (!metrics.seconds_by_phase.empty()) {
    history->last_seconds =
        std::accumulate(metrics.seconds_by_phase.begin(), metrics.seconds_by_phase.end(), 0.0,
                        [](double sum, const auto& phase) { return sum + phase.second; });
  }
  if (!device_class.empty()) history->cost.device_class = device_class;
  AddClaim(CostClaimOf(metrics, report.energy, history->cost.device_class), &history->cost);
}

}  // namespace fedwatt
