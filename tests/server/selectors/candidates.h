#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/driver/plugins.h"
#include "tests/server/plugins/example_specs.h"

namespace fedwatt {

inline std::unique_ptr<Selector> NewSelector(const std::string& name) {
  return *Plugins::Builtin().MakeSelector(ExampleSpec(name));
}

// Candidates with histories that differ.
inline std::vector<Candidate> MakeCandidates(size_t count) {
  std::vector<Candidate> candidates(count);
  for (size_t i = 0; i < count; ++i) {
    Candidate& c = candidates[i];
    c.client = absl::StrCat("client-", i);
    c.device_class = i % 3 == 0 ? "phone" : "server";
    c.example_count_bucket = static_cast<uint32_t>(i % 7);
    c.participations = i % 4;
    c.last_round = c.participations == 0 ? 0 : 1 + i % 5;
    if (i % 2 == 0) c.last_loss = LossSums{10 + i, 3.0 + static_cast<double>(i), 9.0, 5, 10};
    if (i % 3 == 1) c.last_seconds = 1.0 + static_cast<double>(i % 9);
    c.telemetry.charging = i % 5 == 0;
    if (i % 4 != 3) c.telemetry.charge = static_cast<uint8_t>(3 + i % 5);
    if (i % 6 != 5) c.telemetry.capacity = static_cast<uint8_t>(i % 8);
    if (i % 7 != 6) c.cost = CostPrediction{50.0 + static_cast<double>(i % 11), 5, 20, 2};
    if (i % 3 == 2) c.carbon_g_per_kwh = 50.0 * static_cast<double>(1 + i % 10);
  }
  return candidates;
}

inline Rng RoundRng(const RoundKey& key, uint64_t seed) {
  return Rng(RngKey{absl::StrCat(key.job, "/", key.attempt), key.round, "", "selector", seed});
}

// The names of those chosen, in the order of their assignments; the selection must be sound.
inline std::vector<std::string> ChosenNames(const std::vector<Candidate>& candidates,
                                            const Selection& selection) {
  std::vector<std::string> names;
  for (const size_t i : selection.chosen) names.push_back(candidates.at(i).client);
  return names;
}

inline std::vector<std::string> SelectNames(Selector& selector,
                                            const std::vector<Candidate>& candidates,
                                            uint32_t count, uint64_t round, uint64_t seed = 1) {
  const RoundKey key{"job", round, 1, false};
  Rng rng = RoundRng(key, seed);
  return ChosenNames(candidates, *selector.Select({key, count, candidates}, rng));
}

}  // namespace fedwatt
