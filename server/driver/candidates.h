#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/driver/client_pool.h"
#include "server/driver/job_setup.h"
#include "server/prediction/cost_predictor.h"
#include "server/selectors/selector.h"
#include "server/store/store.h"

// From the clients that wait to what a selector sees of them: their history in the job, what of
// their telemetry both consent and job allow, and what the job's work is predicted to cost them.
namespace fedwatt {

// Grams per kWh in a region, now; empty: unknown. Clients name their regions, so it must neither
// make nor fetch anything (CarbonDesk::FiguresOfClients).
using RegionCarbon = std::function<std::optional<double>(const std::string& region)>;

// Steps of the job's plan for a client of which no report is known, by its bucket of examples.
double ExpectedSteps(const Plan& plan, uint32_t example_count_bucket);

// Of all that the job's clients have reported, in any order.
CostPredictor LearnCosts(const JobSetup& setup, std::span<const CostHistory* const> clients);

// In the order of `waiting`. `carbon` may be empty. A function of its arguments: after a restart
// it gives the same.
std::vector<Candidate> MakeCandidates(const JobSetup& setup, std::vector<WaitingClient> waiting,
                                      const std::unordered_map<std::string, ClientHistory>& history,
                                      const CostPredictor& predictor, const RegionCarbon& carbon);

}  // namespace fedwatt
