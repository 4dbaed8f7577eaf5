#include "server/cli/targets.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fedwatt::cli {
namespace {

constexpr double kMicro = 1e6;

std::string Share(int64_t part, int64_t whole, const char* what) {
  if (part <= 0 || whole <= 0) return "";
  return absl::StrFormat(", %.0f %% %s",
                         100.0 * static_cast<double>(part) / static_cast<double>(whole), what);
}

}  // namespace

std::vector<TargetResult> TargetResults(const v1::Job& job) {
  const v1::TargetSpec& targets = job.spec().targets();
  const v1::BudgetStatus& budget = job.budget();
  std::vector<TargetResult> results;
  if (targets.joules() > 0) {
    const double joules = static_cast<double>(budget.booked_uj()) / kMicro;
    results.push_back(
        {"targets.joules",
         absl::StrFormat("at most %g J: %.4g J booked%s", targets.joules(), joules,
                         Share(budget.estimated_uj(), budget.booked_uj(), "of them estimated")),
         joules <= targets.joules()});
  }
  if (targets.gco2e() > 0) {
    const double grams = static_cast<double>(budget.booked_ug()) / kMicro;
    // Joules whose grams nobody knows are not free of them.
    const bool complete = budget.without_grams_uj() == 0 && !budget.carbon().empty();
    results.push_back(
        {"targets.gco2e",
         absl::StrFormat(
             "at most %g g: %.4g g (%s)%s", targets.gco2e(), grams,
             budget.carbon().empty() ? "no carbon figure" : budget.carbon(),
             Share(budget.without_grams_uj(), budget.booked_uj(), "of the joules without grams")),
         complete && grams <= targets.gco2e()});
  }
  if (targets.has_metric()) {
    const bool minimum = job.spec().stop().mode() == "min";
    const double wanted = targets.metric();
    const bool reached = job.has_best_metric() &&
                         (minimum ? job.best_metric() <= wanted : job.best_metric() >= wanted);
    results.push_back(
        {"targets.metric",
         absl::StrFormat("%s at %s %g: %s", job.spec().stop().metric(), minimum ? "most" : "least",
                         wanted,
                         job.has_best_metric() ? absl::StrFormat("%.4g", job.best_metric())
                                               : std::string("never evaluated")),
         reached});
  }
  return results;
}

bool AllPassed(const std::vector<TargetResult>& results) {
  return std::all_of(results.begin(), results.end(),
                     [](const TargetResult& result) { return result.passed; });
}

std::string TargetText(const std::vector<TargetResult>& results) {
  std::string text;
  for (const TargetResult& result : results) {
    absl::StrAppend(&text, result.passed ? "passed  " : "MISSED  ", result.name, "  ", result.text,
                    "\n");
  }
  return text;
}

}  // namespace fedwatt::cli
