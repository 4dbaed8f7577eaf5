#pragma once

#include <optional>
#include <string>
#include <vector>

#include "simulation/simulation.h"

// What a run came to, as figures with names (docs/comparison.md says what each means). A new one is
// one line in measures.cc. All of them are simulated.
namespace fedwatt {

struct Measure {
  std::string name;
  std::string unit;  // "J", "s", "gCO2e", "B", ...; "": a count or a share
  std::optional<double> value;
  // Where there is no value because the run ended before: it is more than this.
  std::optional<double> at_least;
};

// `target`: what "to target" means; without one, none of these is among them. The end of a run that
// is to end at its target is that moment.
std::vector<Measure> MeasuresOf(const JobSpec& job, const std::optional<WindowTarget>& target,
                                const SimulationResult& result);

// One row for each round of which the metric is known.
struct MeasuredRound {
  uint64_t round = 0;
  double seconds = 0;  // since the start
  double joules = 0;   // spent by all clients until then
  double metric = 0;
};
std::vector<MeasuredRound> MeasuredRoundsOf(const JobSpec& job, const SimulationResult& result);

}  // namespace fedwatt
