#include "simulation/compare/cell.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/sha256.h"
#include "common/wire/job_file.h"
#include "nlohmann/json.hpp"
#include "simulation/fleet_model.h"
#include "toml++/toml.h"

namespace fedwatt {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxCellBytes = uint64_t{64} << 20;
constexpr size_t kHashDigits = 12;

absl::StatusOr<std::string> FileHash(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return Sha256Hex(file.bytes());
}

// Every text of it that is the name of a file beside it.
void CollectFiles(const toml::node& node, const std::string& folder,
                  std::vector<std::string>* files) {
  if (const toml::table* const table = node.as_table()) {
    for (const auto& [key, below] : *table) CollectFiles(below, folder, files);
  } else if (const toml::array* const list = node.as_array()) {
    for (const toml::node& below : *list) CollectFiles(below, folder, files);
  } else if (const auto* const text = node.as_string()) {
    const std::string path =
        text->get().starts_with("/") ? text->get() : absl::StrCat(folder, "/", text->get());
    if (text->get().find('.') != std::string::npos && FileExists(path)) files->push_back(path);
  }
}

absl::StatusOr<json> FleetIdentity(const std::string& path) {
  if (path.empty()) return json("default");
  FW_RETURN_IF_ERROR(LoadFleetModel(path).status());
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, bounds::kMaxConfigBytes));
  std::vector<std::string> files;
  // A table of classes names no other file.
  if (!path.ends_with(".csv")) CollectFiles(toml::parse(text), DirName(path), &files);
  json identity = {Sha256Hex(AsBytes(text))};
  for (const std::string& file : files) {
    FW_ASSIGN_OR_RETURN(std::string hash, FileHash(file));
    identity.push_back(std::move(hash));
  }
  return identity;
}

absl::StatusOr<json> SettingIdentity(const Matrix& matrix, const Variant& variant) {
  const absl::StatusOr<JobSpec> job =
      LoadJobFile(matrix.job, {.environment = JobEnvironment(), .set = SetArguments(variant.set)});
  if (!job.ok()) return Annotate(job.status(), absl::StrCat("setting ", variant.setting));
  if (variant.set.contains("seed")) {
    return absl::InvalidArgumentError(absl::StrCat(
        matrix.path, ": setting ", variant.setting,
        ": seed is set; the job's seed is the run's own: leave it out, and see [seeds]"));
  }
  json spec = json::parse(JobSpecToJson(*job));
  spec.erase("seed");
  // What it holds counts, wherever it lies.
  if (spec.contains("model")) spec["model"].erase("bundle");
  const std::string bundle = matrix.bundle.empty() ? job->model.bundle : matrix.bundle;
  json identity = {{"job", std::move(spec)},
                   {"clients", matrix.clients},
                   {"trainer", matrix.trainer},
                   {"dataset", matrix.dataset},
                   {"evaluation_dataset", matrix.evaluation_dataset},
                   {"local_evaluation_dataset", matrix.local_evaluation_dataset}};
  if (bundle.empty()) {
    identity["parameters"] = matrix.parameters;
  } else {
    FW_ASSIGN_OR_RETURN(identity["bundle"], FileHash(bundle));
  }
  FW_ASSIGN_OR_RETURN(identity["fleet"], FleetIdentity(variant.fleet));
  if (matrix.outcome.target.has_value()) {
    const WindowTarget& target = *matrix.outcome.target;
    identity["target"] = {target.value, target.window, target.ends_run};
  }
  return identity;
}

std::vector<std::string> Arguments(const Matrix& matrix, const Variant& variant, uint64_t seed) {
  const std::string text = absl::StrCat(seed);
  std::vector<std::string> arguments = {
      "simulate",  matrix.job,    "--clients", absl::StrCat(matrix.clients),
      "--seed",    text,          "--set",     "seed=" + text,
      "--trainer", matrix.trainer};
  const auto add = [&arguments](const char* flag, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
  };
  for (const std::string& set : SetArguments(variant.set)) add("--set", set);
  add("--fleet", variant.fleet);
  add("--bundle", matrix.bundle);
  if (matrix.trainer == "synthetic") add("--parameters", absl::StrCat(matrix.parameters));
  add("--dataset", matrix.dataset);
  add("--evaluation-dataset", matrix.evaluation_dataset);
  add("--local-evaluation-dataset", matrix.local_evaluation_dataset);
  if (matrix.outcome.target.has_value()) {
    add("--target", json(matrix.outcome.target->value).dump());
    add("--window", absl::StrCat(matrix.outcome.target->window));
    if (matrix.outcome.target->ends_run) arguments.emplace_back("--end-at-target");
  }
  return arguments;
}

absl::StatusOr<json> ParseJson(const std::string& text, const std::string& source) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() || !value.is_object()) {
    return absl::DataLossError(
        absl::StrCat(source, ": not what a run writes; remove it, and it is run again"));
  }
  return value;
}

CellResult ResultOf(const json& value) {
  CellResult result;
  result.limited_by = value.at("limited_by");
  result.violations = value.at("violations");
  result.trace_sha256 = value.at("trace_sha256");
  for (const json& one : value.at("measures")) {
    Measure measure{one.at("name"), one.at("unit"), {}, {}};
    if (one.at("value").is_number()) measure.value = one.at("value").get<double>();
    if (one.contains("at_least")) measure.at_least = one.at("at_least").get<double>();
    result.measures.push_back(std::move(measure));
  }
  result.metric = value.at("series").at("metric");
  result.less = value.at("series").value("mode", "max") == "min";
  for (const json& row : value.at("series").at("rows")) {
    result.rounds.push_back({row.at(0), row.at(1), row.at(2), row.at(3)});
  }
  return result;
}

// json's own reader throws where a key is missing or of another type.
absl::StatusOr<CellResult> CheckedResultOf(const json& value, const std::string& source) {
  try {
    return ResultOf(value);
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat(source, ": not what a run writes (", error.what(),
                                            "); remove it, and it is run again"));
  }
}

}  // namespace

std::string Cell::FileName() const {
  return absl::StrCat(variant.setting, "-", setting_hash, "-", code, "-", seed, ".json");
}

absl::StatusOr<std::vector<Cell>> MakeCells(const Matrix& matrix, const Variant& variant,
                                            const std::vector<uint64_t>& seeds,
                                            const std::string& code) {
  FW_ASSIGN_OR_RETURN(const json identity, SettingIdentity(matrix, variant));
  const std::string hash = Sha256Hex(AsBytes(identity.dump())).substr(0, kHashDigits);
  std::vector<Cell> cells;
  for (const uint64_t seed : seeds) {
    cells.push_back({variant, seed, code, hash, Arguments(matrix, variant, seed)});
  }
  return cells;
}

const Measure* CellResult::Find(const std::string& name) const {
  const auto found = std::find_if(measures.begin(), measures.end(),
                                  [&](const Measure& measure) { return measure.name == name; });
  return found == measures.end() ? nullptr : &*found;
}

absl::StatusOr<CellResult> ParseMeasures(const std::string& measures_json,
                                         const std::string& source) {
  FW_ASSIGN_OR_RETURN(const json value, ParseJson(measures_json, source));
  return CheckedResultOf(value, source);
}

std::string CellText(const Cell& cell, const std::string& measures_json, double wall_s) {
  const json out = {{"quality", "simulated"},
                    {"setting", cell.variant.setting},
                    {"chosen", cell.variant.chosen},
                    {"seed", cell.seed},
                    {"code", cell.code},
                    {"setting_hash", cell.setting_hash},
                    {"command", "fedwatt " + absl::StrJoin(cell.arguments, " ")},
                    {"wall_s", wall_s},
                    {"result", json::parse(measures_json, nullptr, false)}};
  return out.dump() + "\n";
}

absl::StatusOr<CellResult> ReadCell(const std::string& folder, const Cell& cell) {
  const std::string path = absl::StrCat(folder, "/", cell.FileName());
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxCellBytes));
  FW_ASSIGN_OR_RETURN(const json value, ParseJson(text, path));
  const json ours = {{"code", cell.code}, {"setting_hash", cell.setting_hash}, {"seed", cell.seed}};
  for (const auto& [key, expected] : ours.items()) {
    if (value.contains(key) && value[key] == expected) continue;
    return absl::DataLossError(
        absl::StrCat(path, ": is another run's (", key, "); remove it, and it is run again"));
  }
  FW_ASSIGN_OR_RETURN(CellResult result,
                      CheckedResultOf(value.value("result", json::object()), path));
  if (value.contains("wall_s") && value["wall_s"].is_number()) result.wall_s = value["wall_s"];
  return result;
}

}  // namespace fedwatt
