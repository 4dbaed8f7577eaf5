#include "server/driver/candidates.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fedwatt {

CostPredictor LearnCosts(const JobSetup& setup, std::span<const CostHistory* const> clients) {
  CostPredictor predictor(FlopsPerStep(setup.layout.coordinates, setup.spec.plan.batch_size));
  predictor.Learn(clients);
  return predictor;
}

double ExpectedSteps(const Plan& plan, uint32_t example_count_bucket) {
  if (plan.local_steps > 0) return static_cast<double>(plan.local_steps);
  // Examples of bucket b are [2^(b-1), 2^b).
  const double examples = 0.75 * std::ldexp(1.0, static_cast<int>(example_count_bucket));
  const auto batch = static_cast<double>(std::max<uint64_t>(plan.batch_size, 1));
  return std::max(std::ceil(examples / batch) * static_cast<double>(plan.local_epochs), 1.0);
}

std::vector<Candidate> MakeCandidates(const JobSetup& setup, std::vector<WaitingClient> waiting,
                                      const std::unordered_map<std::string, ClientHistory>& history,
                                      const CostPredictor& predictor, const RegionCarbon& carbon) {
  std::vector<Candidate> candidates;
  candidates.reserve(waiting.size());
  for (WaitingClient& client : waiting) {
    Candidate& candidate = candidates.emplace_back();
    const auto known = history.find(client.client);
    const ClientHistory* const past = known == history.end() ? nullptr : &known->second;
    if (past != nullptr) {
      candidate.participations = past->participations;
      candidate.last_round = past->last_round;
      candidate.last_loss = past->last_loss;
      candidate.last_seconds = past->last_seconds;
      candidate.sketch = past->sketch;
    }
    const CostHistory* const cost = past == nullptr ? nullptr : &past->cost;
    const double steps = cost != nullptr && cost->units > 0
                             ? cost->units
                             : ExpectedSteps(setup.spec.plan, client.example_count_bucket);
    candidate.cost = predictor.Predict(client.device_class, cost, steps);
    candidate.telemetry =
        AtLevel(client.telemetry, std::min(client.telemetry_level, setup.spec.telemetry_level));
    if (carbon && !client.region.empty()) candidate.carbon_g_per_kwh = carbon(client.region);
    candidate.client = std::move(client.client);
    candidate.device_class = std::move(client.device_class);
    candidate.example_count_bucket = client.example_count_bucket;
    candidate.power_domain = std::move(client.power_domain);
  }
  return candidates;
}

}  // namespace fedwatt
