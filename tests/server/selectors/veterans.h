#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/server/selectors/candidates.h"

namespace fedwatt {

// `count` clients that took part, with losses 1, 2, ... of ten examples each.
inline std::vector<Candidate> Veterans(size_t count) {
  std::vector<Candidate> candidates(count);
  for (size_t i = 0; i < count; ++i) {
    Candidate& c = candidates[i];
    const double loss = static_cast<double>(i + 1);
    c.client = absl::StrCat("client-", 100 + i);
    c.participations = 1;
    c.last_round = 1;
    c.last_loss = LossSums{10, 10 * loss, 10 * loss * loss, 0, 0};
    c.last_seconds = 10;
  }
  return candidates;
}

inline std::unique_ptr<Selector> Make(const std::string& name,
                                      const std::map<std::string, double>& params) {
  return *Plugins::Builtin().MakeSelector({name, params});
}

// How often each is chosen over `rounds` selections of a fleet that stays as it is.
inline std::map<std::string, int> Turns(Selector& selector,
                                        const std::vector<Candidate>& candidates, uint32_t count,
                                        uint64_t rounds) {
  std::map<std::string, int> turns;
  for (uint64_t round = 2; round < 2 + rounds; ++round) {
    for (const std::string& name : SelectNames(selector, candidates, count, round)) ++turns[name];
  }
  return turns;
}

}  // namespace fedwatt
