#pragma once

#include <functional>
#include <string>

#include "client/sdk/session.h"

namespace fedwatt::client {

// "12.3 J measured by rapl (package)" per source, quality and scope, unavailable phases by name:
// what a log line says of a report's energy. Figures that differ in one of these are not added.
std::string EnergyText(const Report& report);

// One log line per event. Constant message, what varies in fields.
void LogSessionEvent(const SessionEvent& event);

}  // namespace fedwatt::client
