#pragma once

#include <memory>

#include "common/energy/energy_meter.h"
#include "common/energy/poll_timer.h"

namespace fedwatt {

// A meter that is polled by a timer while windows are open, and whose methods any thread may call.
// A meter without a poll period gets no timer.
std::unique_ptr<EnergyMeter> PollWhileOpen(std::unique_ptr<EnergyMeter> meter,
                                           const PollTimerFactory& start_polling);

}  // namespace fedwatt
