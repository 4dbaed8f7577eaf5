#pragma once

#include <string>
#include <vector>

#include "simulation/compare/report.h"
#include "simulation/compare/tuning.h"

// A comparison for people and for programs. Pure functions; all of them say "simulated".
namespace fedwatt::cli {

// Tables of at most 100 columns, unless a setting's name is long.
std::string ComparisonText(const ComparisonReport& report);
// `plots`: of images, as the page is to link to them.
std::string ComparisonMarkdown(const ComparisonReport& report,
                               const std::vector<std::string>& plots);
std::string ComparisonJson(const ComparisonReport& report);
// A page that stands alone, with the drawings in it.
std::string ComparisonPage(const ComparisonReport& report);

// What sweeps chose, with the figures of every variant.
std::string TuningText(const Matrix& matrix, const std::vector<TunedSetting>& settings);
std::string TuningJson(const Matrix& matrix, const std::vector<TunedSetting>& settings);

}  // namespace fedwatt::cli
