#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "server/selectors/selector.h"

// The order in which selectors look at candidates, so that who came first does not matter.
namespace fedwatt {

// Indices by client, ascending. Those that stand in order already, as the coordinator's do, cost
// one look each.
std::vector<uint32_t> CanonicalOrder(std::span<const Candidate> candidates);

}  // namespace fedwatt
