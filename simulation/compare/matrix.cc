#include "simulation/compare/matrix.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "simulation/toml_table.h"

namespace fedwatt {
namespace {

constexpr size_t kMostSettings = 100;
constexpr size_t kMostVariants = 1000;
constexpr size_t kMostSeeds = 10'000;
constexpr size_t kMostName = 40;
constexpr int64_t kMostSeed = int64_t{1} << 53;  // exact in JSON

// As after --set; empty for what no key of a job can be.
std::optional<std::string> ValueText(const toml::node& node) {
  if (const auto* const text = node.as_string()) return text->get();
  if (const auto* const whole = node.as_integer()) return absl::StrCat(whole->get());
  if (const auto* const flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* const number = node.as_floating_point()) {
    char buffer[32];
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), number->get());
    return error == std::errc() ? std::string(buffer, end) : std::optional<std::string>();
  }
  const toml::array* const list = node.as_array();
  if (list == nullptr) return std::nullopt;
  std::vector<std::string> values;
  for (const toml::node& entry : *list) {
    const std::optional<std::string> value = entry.is_array() ? std::nullopt : ValueText(entry);
    if (!value.has_value()) return std::nullopt;
    values.push_back(*value);
  }
  return absl::StrJoin(values, ",");
}

// One table of the file: `"round.goal" = 5` and `round.goal = 5` say the same.
class Reader {
 public:
  explicit Reader(std::string source) : source_(std::move(source)) {}

  void Fail(const toml::node& at, const std::string& name, const std::string& what) {
    if (!status.ok()) return;
    status = absl::InvalidArgumentError(
        absl::StrCat(source_, ":", at.source().begin.line, ": ", name, ": ", what));
  }

  void Keys(const toml::table& table, const std::string& name, const std::string& prefix,
            JobKeys* keys) {
    for (const auto& [key, node] : table) {
      const std::string dotted = absl::StrCat(prefix, std::string(key.str()));
      if (const toml::table* const below = node.as_table()) {
        Keys(*below, name, dotted + ".", keys);
        continue;
      }
      const std::optional<std::string> value = ValueText(node);
      if (!value.has_value()) {
        return Fail(node, absl::StrCat(name, ".", dotted), "must be a value of the job file");
      }
      if (!seen_.insert({name, dotted}).second) {
        return Fail(node, absl::StrCat(name, ".", dotted), "is said twice");
      }
      keys->insert_or_assign(dotted, *value);
    }
  }

  void Sweeps(const toml::table& table, const std::string& name, const std::string& prefix,
              std::vector<Sweep>* sweeps) {
    for (const auto& [key, node] : table) {
      const std::string dotted = absl::StrCat(prefix, std::string(key.str()));
      if (const toml::table* const below = node.as_table()) {
        Sweeps(*below, name, dotted + ".", sweeps);
        continue;
      }
      Sweep sweep{dotted, {}};
      if (const toml::array* const list = node.as_array()) {
        for (const toml::node& entry : *list) {
          const std::optional<std::string> value = ValueText(entry);
          if (value.has_value()) sweep.values.push_back(*value);
        }
      }
      const std::set<std::string> distinct(sweep.values.begin(), sweep.values.end());
      if (distinct.size() < 2 || distinct.size() < sweep.values.size()) {
        return Fail(node, absl::StrCat(name, ".", dotted),
                    "must list two or more different values, as in [3, 5, 10]");
      }
      sweeps->push_back(std::move(sweep));
    }
  }

  void Seeds(const toml::table& table, const std::string& set, std::vector<uint64_t>* seeds) {
    const std::string name = absl::StrCat("seeds.", set);
    const toml::node& node = *table.get(set);
    if (const toml::table* const range = node.as_table()) {
      int64_t first = 0;
      int64_t count = 0;
      TomlTable fields(*range, source_, name);
      fields.Integer("first", 0, kMostSeed, &first);
      fields.Integer("count", 1, kMostSeeds, &count);
      if (!fields.Has("first") || count == 0) {
        return Fail(node, name, "must say both, as in { first = 101, count = 20 }");
      }
      if (status.ok()) status = fields.Finish();
      for (int64_t i = 0; i < count; ++i) seeds->push_back(static_cast<uint64_t>(first + i));
      return;
    }
    const toml::array* const list = node.as_array();
    const size_t entries = list == nullptr ? 0 : list->size();
    for (size_t i = 0; i < entries; ++i) {
      const auto* const seed = (*list)[i].as_integer();
      if (seed != nullptr && seed->get() >= 0 && seed->get() <= kMostSeed) {
        seeds->push_back(static_cast<uint64_t>(seed->get()));
      }
    }
    if (seeds->empty() || seeds->size() < entries || seeds->size() > kMostSeeds) {
      Fail(node, name,
           absl::StrCat("must list 1 to ", kMostSeeds,
                        " whole numbers from 0, or say { first = 101, count = 20 }"));
    }
  }

  absl::Status status;

 private:
  const std::string source_;
  std::set<std::pair<std::string, std::string>> seen_;
};

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMostName &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == '+';
         });
}

std::string Below(const std::string& folder, const std::string& file) {
  return file.empty() || file.front() == '/' ? file : absl::StrCat(folder, file);
}

void CheckName(const std::string& key, const std::string& name, TomlTable* fields) {
  if (IsName(name)) return;
  fields->Fail(key, absl::StrCat("\"", name, "\": must be 1 to ", kMostName,
                                 " of letters, digits, '.', '_', '-', '+'"));
}

void ReadOutcome(const toml::table& table, const std::string& source, PrimaryOutcome* outcome,
                 absl::Status* status) {
  TomlTable fields(table, source, "outcome");
  size_t better = 0;
  double target = 0;
  int64_t window = 5;
  bool ends_run = true;
  fields.Text("measure", &outcome->measure);
  fields.Word("better", {"less", "more"}, &better);
  fields.Text("reference", &outcome->reference);
  fields.Number("target", -1e12, 1e12, &target);
  fields.Integer("window", 1, 1000, &window);
  fields.Flag("end_at_target", &ends_run);
  outcome->less_is_better = better == 0;
  if (fields.Has("target")) {
    outcome->target = {target, static_cast<uint32_t>(window), ends_run};
  } else if (outcome->measure.ends_with("_to_target")) {
    fields.Fail("measure", absl::StrCat("\"", outcome->measure,
                                        "\" needs a target, for example target = 0.8"));
  }
  status->Update(fields.Finish());
}

Setting ReadSetting(const toml::table& table, const std::string& folder, const JobKeys& base,
                    const std::string& source, Reader* reader) {
  Setting setting;
  TomlTable fields(table, source, "setting");
  fields.Text("name", &setting.name);
  CheckName("name", setting.name, &fields);
  fields.Text("fleet", &setting.fleet);
  setting.fleet = Below(folder, setting.fleet);
  setting.set = base;
  if (const toml::table* const set = fields.Table("set")) {
    reader->Keys(*set, absl::StrCat(setting.name, ".set"), "", &setting.set);
  }
  if (const toml::table* const sweep = fields.Table("sweep")) {
    reader->Sweeps(*sweep, absl::StrCat(setting.name, ".sweep"), "", &setting.sweeps);
  }
  size_t variants = 1;
  for (const Sweep& sweep : setting.sweeps) {
    variants *= sweep.values.size();
    if (setting.set.contains(sweep.key)) {
      fields.Fail("sweep", absl::StrCat(sweep.key, " is set as well; leave one of them out"));
    }
    if (variants > kMostVariants) {
      fields.Fail("sweep", absl::StrCat("more than ", kMostVariants, " combinations"));
      break;
    }
  }
  if (reader->status.ok()) reader->status = fields.Finish();
  return setting;
}

Claim ReadClaim(const toml::table& table, const std::string& source, absl::Status* status) {
  Claim claim;
  TomlTable fields(table, source, "claim");
  fields.Text("setting", &claim.setting);
  fields.Text("against", &claim.against);
  fields.Text("measure", &claim.measure);
  fields.Flag("interval_excludes_zero", &claim.interval_excludes_zero);
  const std::pair<const char*, std::pair<bool, bool>> limits[] = {
      {"change_at_most", {true, true}},
      {"change_at_least", {true, false}},
      {"difference_at_most", {false, true}},
      {"difference_at_least", {false, false}}};
  int said = 0;
  for (const auto& [key, means] : limits) {
    if (fields.Has(key)) {
      ++said;
      std::tie(claim.relative, claim.at_most) = means;
    }
    fields.Number(key, -1e12, 1e12, &claim.limit);
  }
  if (said != 1) {
    fields.Fail("setting",
                "say one of change_at_most, change_at_least, difference_at_most, "
                "difference_at_least, for example change_at_most = -0.1");
  }
  status->Update(fields.Finish());
  return claim;
}

// No seed is in two sets: what was used for tuning says nothing about what it chose.
absl::Status CheckSeeds(const Matrix& matrix) {
  std::map<uint64_t, std::string> in;
  for (const auto& [set, seeds] : matrix.seeds) {
    for (const uint64_t seed : seeds) {
      const auto [at, added] = in.emplace(seed, set);
      if (added) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(matrix.path, ": seeds.", set, ": ", seed,
                       at->second == set ? " is in it twice" : " is also in seeds." + at->second,
                       "; no run may count twice: take another seed"));
    }
  }
  if (matrix.seeds.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(matrix.path,
                     ": seeds: missing; write for example `all = [1, 2, 3]` below "
                     "[seeds]"));
  }
  if (!matrix.sweeps()) return absl::OkStatus();
  for (const char* const set : {kTuning, kConfirmation}) {
    if (matrix.seeds.contains(set)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(matrix.path, ": seeds.", set, ": missing; a matrix with a sweep chooses on ",
                     "seeds.tuning and compares on seeds.confirmation"));
  }
  return absl::OkStatus();
}

absl::Status CheckSettings(const Matrix& matrix) {
  if (matrix.settings.empty() || matrix.settings.size() > kMostSettings) {
    return absl::InvalidArgumentError(absl::StrCat(matrix.path, ": ", matrix.settings.size(),
                                                   " settings; write 1 to ", kMostSettings,
                                                   " tables [[setting]]"));
  }
  std::vector<std::string> names;
  for (const Setting& setting : matrix.settings) {
    if (std::find(names.begin(), names.end(), setting.name) != names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(matrix.path, ": two settings are called ", setting.name));
    }
    names.push_back(setting.name);
  }
  const auto known = [&](const std::string& key, const std::string& name) {
    if (matrix.Find(name) != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(matrix.path, ": ", key, ": \"", name,
                                                   "\": no such setting", DidYouMean(name, names)));
  };
  const std::string& reference = matrix.outcome.reference;
  if (!reference.empty()) FW_RETURN_IF_ERROR(known("outcome.reference", reference));
  for (const Claim& claim : matrix.claims) {
    FW_RETURN_IF_ERROR(known("claim.setting", claim.setting));
    if (!claim.against.empty()) FW_RETURN_IF_ERROR(known("claim.against", claim.against));
  }
  return absl::OkStatus();
}

absl::StatusOr<toml::table> Read(const std::string& text, const std::string& path) {
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.source().begin.line, ": ", std::string(error.description())));
  }
}

void ReadRun(const std::string& folder, TomlTable* fields, Matrix* matrix) {
  const auto file = [&](const char* key, std::string* out) {
    fields->Text(key, out);
    *out = Below(folder, *out);
  };
  fields->Text("name", &matrix->name);
  CheckName("name", matrix->name, fields);
  file("job", &matrix->job);
  if (matrix->job.empty()) fields->Fail("job", "which job file? For example job = \"job.toml\"");
  file("fleet", &matrix->fleet);
  file("bundle", &matrix->bundle);
  fields->Text("dataset", &matrix->dataset);
  fields->Text("evaluation_dataset", &matrix->evaluation_dataset);
  fields->Text("local_evaluation_dataset", &matrix->local_evaluation_dataset);
  const std::vector<std::string> trainers = {"synthetic", "torch"};
  size_t trainer = 0;
  fields->Word("trainer", trainers, &trainer);
  matrix->trainer = trainers[trainer];
  int64_t clients = 100;
  int64_t parameters = 10'000;
  fields->Integer("clients", 1, 100'000'000, &clients);
  fields->Integer("parameters", 1, int64_t{1} << 30, &parameters);
  matrix->clients = static_cast<uint64_t>(clients);
  matrix->parameters = static_cast<uint64_t>(parameters);
}

}  // namespace

bool Matrix::sweeps() const {
  return std::any_of(settings.begin(), settings.end(),
                     [](const Setting& setting) { return !setting.sweeps.empty(); });
}

const Setting* Matrix::Find(const std::string& setting) const {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& one) { return one.name == setting; });
  return found == settings.end() ? nullptr : &*found;
}

absl::StatusOr<Matrix> ParseMatrix(const std::string& text, const std::string& path) {
  FW_ASSIGN_OR_RETURN(const toml::table root, Read(text, path));
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  Matrix matrix{.path = path};
  TomlTable fields(root, path, "");
  Reader reader(path);
  ReadRun(folder, &fields, &matrix);
  if (const toml::table* const seeds = fields.Table("seeds")) {
    for (const auto& [set, node] : *seeds) {
      reader.Seeds(*seeds, std::string(set.str()), &matrix.seeds[std::string(set.str())]);
    }
  }
  if (const toml::table* const outcome = fields.Table("outcome")) {
    ReadOutcome(*outcome, path, &matrix.outcome, &reader.status);
  } else {
    fields.Fail("outcome", "missing; write for example `target = 0.8` below [outcome]");
  }
  JobKeys base;
  if (const toml::table* const set = fields.Table("base")) reader.Keys(*set, "base", "", &base);
  for (const toml::table* const table : fields.Tables("setting")) {
    matrix.settings.push_back(ReadSetting(*table, folder, base, path, &reader));
  }
  for (const toml::table* const table : fields.Tables("claim")) {
    matrix.claims.push_back(ReadClaim(*table, path, &reader.status));
  }
  FW_RETURN_IF_ERROR(fields.Finish());
  FW_RETURN_IF_ERROR(reader.status);
  FW_RETURN_IF_ERROR(CheckSettings(matrix));
  FW_RETURN_IF_ERROR(CheckSeeds(matrix));
  return matrix;
}

absl::StatusOr<Matrix> LoadMatrix(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, bounds::kMaxConfigBytes));
  return ParseMatrix(text, path);
}

std::vector<Variant> VariantsOf(const Matrix& matrix, const Setting& setting) {
  std::vector<Variant> variants = {
      {setting.name, setting.fleet.empty() ? matrix.fleet : setting.fleet, setting.set, {}}};
  for (const Sweep& sweep : setting.sweeps) {
    std::vector<Variant> more;
    for (const Variant& one : variants) {
      for (const std::string& value : sweep.values) {
        more.push_back(one);
        more.back().set[sweep.key] = more.back().chosen[sweep.key] = value;
      }
    }
    variants = std::move(more);
  }
  return variants;
}

std::vector<std::string> SetArguments(const JobKeys& keys) {
  std::vector<std::string> set;
  for (const auto& [key, value] : keys) set.push_back(absl::StrCat(key, "=", value));
  return set;
}

std::string KeysText(const JobKeys& keys) {
  return absl::StrJoin(keys, " ", absl::PairFormatter("="));
}

}  // namespace fedwatt
