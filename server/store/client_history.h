#pragma once

#include <cstdint>
#include <string>

#include "server/store/store.h"

// What an accepted training report adds to what is known of its client: one rule for the store's
// tables and for the job driver's copy, so that selectors see the same before and after a restart.
namespace fedwatt {

// `device_class` as the client told it when it got the assignment; empty: not known.
void AddParticipation(uint64_t round, const std::string& device_class, const Report& report,
                      ClientHistory* history);

}  // namespace fedwatt
