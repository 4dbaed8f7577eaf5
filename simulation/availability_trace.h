#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/on_off.h"

// When devices are there, as the traces of FLASH and FedScale say it: intervals of one device
// after the other.
namespace fedwatt {

// CSV with the columns device, begin_s, end_s (a header of these names may stand first): seconds
// since the trace's start; lines of one device in order of time, devices in any order. Device i of
// the simulation gets the i-th device of the file in the order of first appearance, and again from
// the first.
//
// INVALID_ARGUMENT names file and line: not three fields, no numbers, negative times, an end before
// its begin, intervals that overlap or go back in time. An empty file is one, too.
absl::StatusOr<std::vector<std::vector<Interval>>> LoadAvailabilityTrace(const std::string& path);
absl::StatusOr<std::vector<std::vector<Interval>>> ParseAvailabilityTrace(
    const std::string& text, const std::string& source);

}  // namespace fedwatt
