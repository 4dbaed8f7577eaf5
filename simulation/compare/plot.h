#pragma once

#include <string>

#include "simulation/compare/report.h"

// Drawings of a comparison as SVG files that stand alone: light or dark as their reader's page is,
// without a script, legible without colours. Both say that they are simulated. Pure functions.
namespace fedwatt {

// A row for each setting: a dot for each run (hollow: censored), the mean, and its interval.
std::string OutcomePlot(const ComparisonReport& report);

// Joules until the metric's mean is at a level, over the levels: a line for each setting, its
// interval around it, its name at its end. A line ends where not all runs got further. Empty: no
// run got anywhere.
std::string CurvePlot(const ComparisonReport& report);

// For the texts of a drawing and of tables: "1234", "0.8231", "1.5e-05".
std::string FigureText(double value);

}  // namespace fedwatt
