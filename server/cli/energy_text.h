#pragma once

#include <string>

#include "common/energy/energy_sample.h"
#include "nlohmann/json.hpp"

// Samples of meters for people and for programs.
namespace fedwatt::cli {

// "12.3 J", "4.56 kJ", "85.2 mJ".
std::string JoulesText(int64_t microjoules);

// Watts over the window; NaN without a figure or a length.
double WattsOf(const EnergySample& sample);

// {"source": "rapl", "quality": "derived", "energy_j": 1.5, ...}; figures that are not known are
// null, never 0. `beside` in "beside".
nlohmann::json SampleJson(const EnergySample& sample);

// Some lines, the last with a line's end.
std::string SampleText(const EnergySample& sample);

}  // namespace fedwatt::cli
