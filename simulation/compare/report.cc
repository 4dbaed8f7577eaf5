#include "simulation/compare/report.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace fedwatt {
namespace {

constexpr int kLevels = 60;  // of a curve

// Resamples are the same for one number of runs, and cost more than what is done with them.
class Bootstraps {
 public:
  const Bootstrap& Of(size_t count) { return made_.try_emplace(count, count).first->second; }

 private:
  std::map<size_t, Bootstrap> made_;
};

// The names and units of all measures that any run has; the outcome's first.
std::vector<Measure> MeasuresIn(const ReportInput& input, const std::string& outcome) {
  std::vector<Measure> all;
  for (const SettingRuns& setting : input.settings) {
    for (const SeedRun& run : setting.runs) {
      for (const Measure& measure : run.result.measures) {
        const bool known = std::any_of(
            all.begin(), all.end(), [&](const Measure& one) { return one.name == measure.name; });
        if (known) continue;
        const auto at = measure.name == outcome ? all.begin() : all.end();
        all.insert(at, Measure{measure.name, measure.unit, {}, {}});
      }
    }
  }
  return all;
}

MeasureReport ReportMeasure(const Measure& measure, const SettingRuns& setting,
                            const SettingRuns* reference, Bootstraps* bootstraps) {
  MeasureReport report{.name = measure.name, .unit = measure.unit};
  std::vector<Observation> runs;
  for (const SeedRun& run : setting.runs) {
    const auto observed = Observe(run.result, measure.name);
    if (!observed.has_value()) continue;
    runs.push_back(*observed);
    if (observed->censored) ++report.censored;
  }
  report.runs = runs.size();
  if (!runs.empty()) report.mean = bootstraps->Of(runs.size()).Mean(runs);
  if (reference == nullptr || reference == &setting) return report;
  const std::vector<Pair> pairs = PairsOf(setting, *reference, measure.name);
  if (!pairs.empty()) report.against = bootstraps->Of(pairs.size()).Compare(pairs);
  return report;
}

// The mean of the last `window` values of each round that has so many.
std::vector<double> WindowMeans(const std::vector<MeasuredRound>& rounds, uint32_t window) {
  std::vector<double> means;
  for (size_t end = window; end <= rounds.size(); ++end) {
    double sum = 0;
    for (size_t i = end - window; i < end; ++i) sum += rounds[i].metric;
    means.push_back(sum / window);
  }
  return means;
}

struct Levels {
  double from = 0;
  double to = 0;
};

// From where the last of all runs begins to the target, or the best of any.
std::optional<Levels> LevelsOf(const ReportInput& input, const PrimaryOutcome& outcome,
                               uint32_t window, bool less) {
  std::optional<Levels> levels;
  const auto beyond = [less](double a, double b) { return less ? std::min(a, b) : std::max(a, b); };
  for (const SettingRuns& setting : input.settings) {
    for (const SeedRun& run : setting.runs) {
      for (const std::vector<double> means = WindowMeans(run.result.rounds, window);
           const double mean : means) {
        if (!levels.has_value()) levels = {means.front(), mean};
        levels->from = beyond(levels->from, means.front());
        levels->to = beyond(levels->to, mean);
      }
    }
  }
  if (levels.has_value() && outcome.target.has_value()) levels->to = outcome.target->value;
  if (levels.has_value() && (less ? levels->from <= levels->to : levels->from >= levels->to)) {
    return std::nullopt;
  }
  return levels;
}

std::vector<CurvePoint> CurveOf(const SettingRuns& setting, const Levels& levels, uint32_t window,
                                bool less, Bootstraps* bootstraps) {
  std::vector<CurvePoint> curve;
  for (int i = 0; i <= kLevels && !setting.runs.empty(); ++i) {
    // The last one is the target itself, not what rounding makes of it.
    const double level =
        i == kLevels ? levels.to : levels.from + (levels.to - levels.from) * i / kLevels;
    std::vector<Observation> joules;
    for (const SeedRun& run : setting.runs) {
      const auto taken = JoulesToLevel(run.result.rounds, window, level, less);
      if (!taken.has_value()) return curve;
      joules.push_back({*taken, false});
    }
    curve.push_back({level, bootstraps->Of(joules.size()).Mean(joules)});
  }
  return curve;
}

}  // namespace

std::optional<Observation> Observe(const CellResult& result, const std::string& measure) {
  const Measure* const found = result.Find(measure);
  if (found == nullptr) return std::nullopt;
  if (found->value.has_value()) return Observation{*found->value, false};
  if (found->at_least.has_value()) return Observation{*found->at_least, true};
  return std::nullopt;
}

std::vector<Pair> PairsOf(const SettingRuns& ours, const SettingRuns& reference,
                          const std::string& measure) {
  std::vector<Pair> pairs;
  for (const SeedRun& one : ours.runs) {
    const auto other = std::find_if(reference.runs.begin(), reference.runs.end(),
                                    [&](const SeedRun& run) { return run.seed == one.seed; });
    if (other == reference.runs.end()) continue;
    const auto a = Observe(one.result, measure);
    const auto b = Observe(other->result, measure);
    if (a.has_value() && b.has_value()) pairs.push_back({*a, *b});
  }
  return pairs;
}

std::optional<double> JoulesToLevel(const std::vector<MeasuredRound>& rounds, uint32_t window,
                                    double level, bool less) {
  const std::vector<double> means = WindowMeans(rounds, window);
  for (size_t i = 0; i < means.size(); ++i) {
    if (less ? means[i] <= level : means[i] >= level) return rounds[i + window - 1].joules;
  }
  return std::nullopt;
}

const MeasureReport* SettingReport::Find(const std::string& measure) const {
  const auto found = std::find_if(measures.begin(), measures.end(),
                                  [&](const MeasureReport& one) { return one.name == measure; });
  return found == measures.end() ? nullptr : &*found;
}

const SettingReport* ComparisonReport::Find(const std::string& setting) const {
  const auto found = std::find_if(settings.begin(), settings.end(), [&](const SettingReport& one) {
    return one.variant.setting == setting;
  });
  return found == settings.end() ? nullptr : &*found;
}

ComparisonReport MakeReport(const Matrix& matrix, const ReportInput& input) {
  ComparisonReport report{.name = matrix.name,
                          .code = input.code,
                          .seeds_name = input.seeds_name,
                          .seeds = input.seeds,
                          .outcome = matrix.outcome};
  if (input.settings.empty()) return report;
  const SettingRuns* reference = &input.settings.front();
  for (const SettingRuns& setting : input.settings) {
    if (setting.variant.setting == matrix.outcome.reference) reference = &setting;
    for (const SeedRun& run : setting.runs) report.metric = run.result.metric;
  }
  report.outcome.reference = reference->variant.setting;
  if (matrix.outcome.target.has_value()) report.window = matrix.outcome.target->window;
  bool less = false;
  for (const SettingRuns& setting : input.settings) {
    for (const SeedRun& run : setting.runs) less |= run.result.less;
  }
  Bootstraps bootstraps;
  const std::vector<Measure> measures = MeasuresIn(input, matrix.outcome.measure);
  const std::optional<Levels> levels = LevelsOf(input, matrix.outcome, report.window, less);
  for (const SettingRuns& setting : input.settings) {
    SettingReport one{.variant = setting.variant, .runs = setting.runs.size()};
    for (const SeedRun& run : setting.runs) {
      const auto observed = Observe(run.result, matrix.outcome.measure);
      if (observed.has_value()) one.outcome.emplace_back(run.seed, *observed);
    }
    for (const Measure& measure : measures) {
      one.measures.push_back(ReportMeasure(measure, setting, reference, &bootstraps));
    }
    if (levels.has_value()) {
      one.curve = CurveOf(setting, *levels, report.window, less, &bootstraps);
    }
    report.settings.push_back(std::move(one));
  }
  return report;
}

}  // namespace fedwatt
