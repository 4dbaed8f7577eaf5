#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/energy/energy_meter.h"

namespace fedwatt {

// The radio's joules by radio_model.h from bytes and seconds of download and upload windows, for
// the link that env.link names. Quality estimated; scope process: the transfers are this
// process's. Its source is its own ("radio"): a meter of the whole device has seen the radio, too,
// so that the two are never added. Windows of other phases, and without bytes, do not concern it.
//
// UNAVAILABLE without a link, and over Ethernet, which has no radio.
absl::StatusOr<std::unique_ptr<EnergyMeter>> MakeRadioMeter(const EnergyMeterEnv& env);

}  // namespace fedwatt
