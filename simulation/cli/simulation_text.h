#pragma once

#include <optional>
#include <string>

#include "simulation/seed_search.h"
#include "simulation/simulation.h"

// A simulation's end for people and for programs. Pure functions.
namespace fedwatt::cli {

// A line for a round that ended.
std::string PointLine(const SimulationPoint& point, uint64_t rounds);
std::string SimulationSummary(const SimulationResult& result);
std::string SimulationJson(const SimulationResult& result);
// What comparisons read: measures, and the metric over rounds, seconds and joules.
std::string MeasuresJson(const std::optional<WindowTarget>& target, const SimulationResult& result);
// One row for each attempt that ended: columns in the first line.
std::string SeriesCsv(const SimulationResult& result);

std::string SeedSearchText(const SeedSearchResult& result);
std::string SeedSearchJson(const SeedSearchResult& result);

}  // namespace fedwatt::cli
