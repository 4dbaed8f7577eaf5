#pragma once

#include <string>
#include <vector>

#include "simulation/compare/claims.h"
#include "simulation/compare/report.h"
#include "simulation/compare/tuning.h"

// A comparison for people and for programs. Pure functions; all of them say "simulated".
namespace fedwatt::cli {

using Claims = std::vector<ClaimReport>;

// Tables of at most 100 columns, unless a setting's name is long.
std::string ComparisonText(const ComparisonReport& report, const Claims& claims);
// `plots`: of images, as the page is to link to them.
std::string ComparisonMarkdown(const ComparisonReport& report, const Claims& claims,
                               const std::vector<std::string>& plots);
std::string ComparisonJson(const ComparisonReport& report, const Claims& claims);
// A page that stands alone, with the drawings in it.
std::string ComparisonPage(const ComparisonReport& report, const Claims& claims);

// What sweeps chose, with the figures of every variant.
std::string TuningText(const Matrix& matrix, const std::vector<TunedSetting>& settings);
std::string TuningJson(const Matrix& matrix, const std::vector<TunedSetting>& settings);

}  // namespace fedwatt::cli
