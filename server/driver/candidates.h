#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/driver/client_pool.h"
#include "server/driver/job_setup.h"
#include "server/selectors/selector.h"
#include "server/store/store.h"

// From the clients that wait to what a selector sees of them: their history in the job, what of
// their telemetry both consent and job allow, and what the job's work is predicted to cost them.
namespace fedwatt {

// Grams of CO2e per kWh in a region, now; empty: unknown.
using RegionCarbon = std::function<std::optional<double>(const std::string& region)>;

// Steps of the job's plan for a client of which no report is known, by its bucket of examples.
double ExpectedSteps(const Plan& plan, uint32_t example_count_bucket);

// In the order of `waiting`. `carbon` may be empty. A function of its arguments: after a restart
// it gives the same.
std::vector<Candidate> MakeCandidates(const JobSetup& setup, std::vector<WaitingClient> waiting,
                                      const std::unordered_map<std::string, ClientHistory>& history,
                                      const RegionCarbon& carbon);

}  // namespace fedwatt
