#include "simulation/compare/tuning.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/wire/job_file.h"
#include "nlohmann/json.hpp"
#include "toml++/toml.h"

namespace fedwatt {
namespace {

bool Better(const Matrix& matrix, const TunedVariant& a, const TunedVariant& b) {
  if (a.censored != b.censored) return a.censored < b.censored;
  return matrix.outcome.less_is_better ? a.mean < b.mean : a.mean > b.mean;
}

// JSON's strings are also TOML's.
std::string Quoted(const std::string& text) { return nlohmann::json(text).dump(); }

std::string InlineKeys(const JobKeys& keys) {
  std::string text;
  for (const auto& [key, value] : keys) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Quoted(key), " = ", Quoted(value));
  }
  return absl::StrCat("{ ", text, " }");
}

}  // namespace

absl::StatusOr<TunedSetting> Tune(const Matrix& matrix, const std::vector<Variant>& variants,
                                  const std::vector<std::vector<CellResult>>& results) {
  TunedSetting tuned{.setting = variants.front().setting};
  for (size_t i = 0; i < variants.size(); ++i) {
    TunedVariant one{.chosen = variants[i].chosen};
    for (const CellResult& result : results[i]) {
      const Measure* const measure = result.Find(matrix.outcome.measure);
      if (measure == nullptr || (!measure->value.has_value() && !measure->at_least.has_value())) {
        return absl::InvalidArgumentError(absl::StrCat(matrix.path, ": setting ", tuned.setting,
                                                       ": a run has no ", matrix.outcome.measure,
                                                       "; choose another outcome.measure"));
      }
      ++one.runs;
      if (!measure->value.has_value()) ++one.censored;
      one.mean += measure->value.has_value() ? *measure->value : *measure->at_least;
    }
    if (one.runs > 0) one.mean /= static_cast<double>(one.runs);
    tuned.variants.push_back(std::move(one));
    if (Better(matrix, tuned.variants[i], tuned.variants[tuned.best])) tuned.best = i;
  }
  return tuned;
}

std::string TunedText(const Matrix& matrix, const std::string& code,
                      const std::vector<TunedSetting>& settings) {
  std::string text = absl::StrFormat(
      "# What each setting's sweep chose by the mean %s on the tuning seeds (simulated).\n"
      "# Written by `fedwatt simulate compare`; remove it to choose again.\n"
      "matrix = %s\ncode = %s\n",
      matrix.outcome.measure, Quoted(matrix.name), Quoted(code));
  for (const TunedSetting& setting : settings) {
    absl::StrAppendFormat(&text, "\n[[setting]]\nname = %s\nchosen = %s\nvariants = [\n",
                          Quoted(setting.setting),
                          InlineKeys(setting.variants[setting.best].chosen));
    for (const TunedVariant& one : setting.variants) {
      absl::StrAppendFormat(&text, "  { mean = %#.9g, runs = %d, censored = %d, keys = %s },\n",
                            one.mean, one.runs, one.censored, InlineKeys(one.chosen));
    }
    text += "]\n";
  }
  return text;
}

absl::StatusOr<std::map<std::string, JobKeys>> ParseTuned(const Matrix& matrix,
                                                          const std::string& text,
                                                          const std::string& path) {
  toml::table root;
  try {
    root = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.source().begin.line, ": ", std::string(error.description())));
  }
  std::map<std::string, JobKeys> chosen;
  if (const toml::array* const settings = root["setting"].as_array()) {
    for (const toml::node& node : *settings) {
      const toml::table* const one = node.as_table();
      const toml::table* const keys = one == nullptr ? nullptr : (*one)["chosen"].as_table();
      if (keys == nullptr) continue;
      JobKeys* const out = &chosen[(*one)["name"].value_or(std::string())];
      for (const auto& [key, value] : *keys) {
        (*out)[std::string(key.str())] = value.value_or(std::string());
      }
    }
  }
  const auto refuse = [&path](const std::string& setting, const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": setting ", setting, ": ", what,
                                                   "; remove the file and run with --phase tune"));
  };
  for (const Setting& setting : matrix.settings) {
    if (setting.sweeps.empty()) continue;
    const auto found = chosen.find(setting.name);
    if (found == chosen.end()) return refuse(setting.name, "it is not in it");
    const std::vector<Variant> variants = VariantsOf(matrix, setting);
    if (std::none_of(variants.begin(), variants.end(),
                     [&](const Variant& one) { return one.chosen == found->second; })) {
      return refuse(setting.name, absl::StrCat("the matrix no longer has its choice of ",
                                               KeysText(found->second)));
    }
  }
  return chosen;
}

absl::Status CheckMeasures(const Matrix& matrix) {
  const Variant first = VariantsOf(matrix, matrix.settings.front()).front();
  FW_ASSIGN_OR_RETURN(const JobSpec job, LoadJobFile(matrix.job, {.environment = JobEnvironment(),
                                                                  .set = SetArguments(first.set)}));
  std::vector<std::string> names = {"grams_to_target"};
  for (const Measure& measure : MeasuresOf(job, matrix.outcome.target, SimulationResult{})) {
    names.push_back(measure.name);
  }
  std::vector<std::pair<std::string, std::string>> said = {
      {"outcome.measure", matrix.outcome.measure}};
  for (const Claim& claim : matrix.claims) {
    if (!claim.measure.empty()) said.emplace_back("claim.measure", claim.measure);
  }
  for (const auto& [key, wanted] : said) {
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        matrix.path, ": ", key, ": \"", wanted, "\": no such measure", DidYouMean(wanted, names)));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
