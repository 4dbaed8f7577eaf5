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
  if ((a.runs == 0) != (b.runs == 0)) return b.runs == 0;
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

JobKeys ReadKeys(const toml::table* table) {
  JobKeys keys;
  if (table == nullptr) return keys;
  for (const auto& [key, value] : *table) {
    keys[std::string(key.str())] = value.value_or(std::string());
  }
  return keys;
}

TunedVariant ReadVariant(const toml::table* table) {
  TunedVariant variant;
  if (table == nullptr) return variant;
  variant.chosen = ReadKeys((*table)["keys"].as_table());
  variant.runs = (*table)["runs"].value_or(size_t{0});
  variant.censored = (*table)["censored"].value_or(size_t{0});
  variant.mean = (*table)["mean"].value_or(0.0);
  return variant;
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

std::string TunedText(const Matrix& matrix, const std::vector<TunedSetting>& settings) {
  std::string text = absl::StrFormat(
      "# What each setting's sweep chose by the mean %s on the tuning seeds (simulated).\n"
      "# Written by `fedwatt simulate compare`; remove it to choose again.\n"
      "matrix = %s\n",
      matrix.outcome.measure, Quoted(matrix.name));
  for (const TunedSetting& setting : settings) {
    absl::StrAppendFormat(&text, "\n[[setting]]\nname = %s\ncode = %s\nchosen = %s\nvariants = [\n",
                          Quoted(setting.setting), Quoted(setting.code),
                          InlineKeys(setting.variants[setting.best].chosen));
    for (const TunedVariant& one : setting.variants) {
      absl::StrAppendFormat(&text, "  { mean = %#.9g, runs = %d, censored = %d, keys = %s },\n",
                            one.mean, one.runs, one.censored, InlineKeys(one.chosen));
    }
    text += "]\n";
  }
  return text;
}

absl::StatusOr<std::map<std::string, TunedSetting>> ParseTuned(const std::string& text,
                                                               const std::string& path) {
  toml::table root;
  try {
    root = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.source().begin.line, ": ", std::string(error.description())));
  }
  std::map<std::string, TunedSetting> settings;
  const toml::array* const tables = root["setting"].as_array();
  for (size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
    const toml::table* const table = (*tables)[i].as_table();
    if (table == nullptr) continue;
    TunedSetting one{.setting = (*table)["name"].value_or(std::string()),
                     .code = (*table)["code"].value_or(std::string())};
    const JobKeys chosen = ReadKeys((*table)["chosen"].as_table());
    const toml::array* const variants = (*table)["variants"].as_array();
    bool found = false;
    for (size_t k = 0; variants != nullptr && k < variants->size(); ++k) {
      one.variants.push_back(ReadVariant((*variants)[k].as_table()));
      if (found || one.variants.back().chosen != chosen) continue;
      found = true;
      one.best = k;
    }
    if (!found) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", table->source().begin.line, ": setting ", one.setting,
                       ": what it chose is not among its variants; remove the file and run with "
                       "--phase tune"));
    }
    settings[one.setting] = std::move(one);
  }
  return settings;
}

absl::Status CheckTuned(const Matrix& matrix, const std::map<std::string, TunedSetting>& tuned,
                        const std::string& path) {
  for (const Setting& setting : matrix.settings) {
    if (setting.sweeps.empty()) continue;
    const auto found = tuned.find(setting.name);
    std::string why = "it is not in it";
    if (found != tuned.end()) {
      const JobKeys& chosen = found->second.variants[found->second.best].chosen;
      const std::vector<Variant> variants = VariantsOf(matrix, setting);
      if (std::any_of(variants.begin(), variants.end(),
                      [&](const Variant& one) { return one.chosen == chosen; })) {
        continue;
      }
      why = absl::StrCat("the matrix no longer has its choice of ", KeysText(chosen));
    }
    return absl::InvalidArgumentError(absl::StrCat(path, ": setting ", setting.name, ": ", why,
                                                   "; run with --phase tune --only ",
                                                   setting.name));
  }
  return absl::OkStatus();
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
