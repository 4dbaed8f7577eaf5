#include "simulation/cli/compare_command.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "server/cli/exit_codes.h"
#include "simulation/cli/compare_text.h"
#include "simulation/compare/cell.h"
#include "simulation/compare/code_version.h"
#include "simulation/compare/matrix.h"
#include "simulation/compare/plot.h"
#include "simulation/compare/report.h"
#include "simulation/compare/runner.h"
#include "simulation/compare/tuning.h"

namespace fedwatt::cli {
namespace {

std::string Span(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 120) return absl::StrFormat("%d s", whole);
  if (whole < 7200) return absl::StrFormat("%d min", whole / 60);
  return absl::StrFormat("%d h %02d min", whole / 3600, whole % 3600 / 60);
}

// A line for each run into a pipe, one line over itself on a terminal.
class Progress {
 public:
  explicit Progress(const Context& context)
      : quiet_(context.json), live_(isatty(STDERR_FILENO) != 0) {}

  void operator()(const RunnerProgress& now) {
    if (quiet_) return;
    if (now.ended != nullptr && (!live_ || !now.failure.empty())) {
      std::cerr << (live_ ? "\r\033[K" : "") << Line(now) << "\n" << std::flush;
      return;
    }
    if (!live_) return;
    std::cerr << "\r\033[K" << Counts(now) << std::flush;
    open_ = true;
  }

  void End() {
    if (std::exchange(open_, false)) std::cerr << "\n";
  }

 private:
  static std::string Counts(const RunnerProgress& now) {
    std::string text =
        absl::StrFormat("%d of %d runs, %s", now.done, now.cells, Span(now.elapsed_s));
    if (now.done < now.cells && now.left_s > 0) {
      absl::StrAppend(&text, ", about ", Span(now.left_s), " left");
    }
    return text;
  }

  static std::string Line(const RunnerProgress& now) {
    const Variant& variant = now.ended->variant;
    return absl::StrCat(Counts(now), "  ", variant.setting, variant.chosen.empty() ? "" : " ",
                        KeysText(variant.chosen), " seed ", now.ended->seed,
                        now.failure.empty() ? "" : " FAILED: ", now.failure);
  }

  const bool quiet_;
  const bool live_;
  bool open_ = false;
};

// One comparison, from its file to its runs.
class ComparisonRun {
 public:
  ComparisonRun(const Context& context, const CompareOptions& options)
      : context_(context), options_(options) {}

  absl::Status Open() {
    FW_ASSIGN_OR_RETURN(matrix_, LoadMatrix(options_.matrix));
    FW_RETURN_IF_ERROR(CheckMeasures(matrix_));
    code_ = options_.of_code.empty() ? CodeVersion() : options_.of_code;
    folder_ = options_.out.empty() ? matrix_.name + "-runs" : options_.out;
    std::vector<std::string> names;
    for (const Setting& setting : matrix_.settings) names.push_back(setting.name);
    const auto known = [&](const char* flag, const std::string& name) {
      if (matrix_.Find(name) != nullptr) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", name, ": no such setting", DidYouMean(name, names)));
    };
    for (const std::string& name : options_.only) FW_RETURN_IF_ERROR(known("--only", name));
    if (!options_.reference.empty()) {
      FW_RETURN_IF_ERROR(known("--reference", options_.reference));
      matrix_.outcome.reference = options_.reference;
    }
    if (options_.phase == "tune" && !matrix_.sweeps()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--phase tune: no setting of ", matrix_.path, " has a sweep"));
    }
    return absl::OkStatus();
  }

  // False: some runs failed.
  absl::StatusOr<bool> Run() {
    const bool tuned = FileExists(TunedPath());
    if (matrix_.sweeps() && !tuned && options_.phase == "confirm") {
      return absl::FailedPreconditionError(absl::StrCat(
          TunedPath(), ": missing; run with --phase tune first, which chooses among the sweeps"));
    }
    if (matrix_.sweeps() && (options_.phase == "tune" || (options_.phase.empty() && !tuned))) {
      FW_ASSIGN_OR_RETURN(const bool chosen, ChooseBySeeds());
      if (!chosen || options_.phase == "tune") return chosen;
    }
    return Confirm();
  }

  // What there is to say of the last phase that ran.
  const ComparisonReport* report() const { return report_.has_value() ? &*report_ : nullptr; }
  const Claims& claims() const { return claims_; }
  std::string Text() const {
    if (report_.has_value()) {
      return context_.json ? ComparisonJson(*report_, claims_) : ComparisonText(*report_, claims_);
    }
    return context_.json ? TuningJson(matrix_, tuned_) : TuningText(matrix_, tuned_);
  }

 private:
  std::string TunedPath() const { return folder_ + "/tuned.toml"; }

  bool Wanted(const Setting& setting) const {
    const auto& only = options_.only;
    return only.empty() || std::find(only.begin(), only.end(), setting.name) != only.end();
  }

  std::string SeedsName() const {
    if (!options_.seeds_of.empty()) return options_.seeds_of;
    return matrix_.seeds.size() == 1 ? matrix_.seeds.begin()->first : kConfirmation;
  }

  absl::StatusOr<std::vector<uint64_t>> ConfirmationSeeds() const {
    const std::string name = SeedsName();
    std::vector<std::string> names;
    for (const auto& [known, seeds] : matrix_.seeds) names.push_back(known);
    if (matrix_.seeds.contains(name)) return matrix_.seeds.at(name);
    return absl::InvalidArgumentError(absl::StrCat(matrix_.path, ": seeds.", name,
                                                   ": missing; choose a set with --seeds-of",
                                                   DidYouMean(name, names)));
  }

  // Runs what is missing of these, in the order of the seeds, so that a part of it is paired, too.
  // False: some failed.
  absl::StatusOr<bool> RunMissing(const std::vector<std::vector<Cell>>& by_variant) {
    if (!options_.of_code.empty()) return true;
    std::vector<Cell> cells;
    for (size_t i = 0; !by_variant.empty() && i < by_variant.front().size(); ++i) {
      for (const std::vector<Cell>& of_one : by_variant) cells.push_back(of_one[i]);
    }
    Progress progress(context_);
    RunnerOptions runner;
    FW_ASSIGN_OR_RETURN(runner.program, OwnPath());
    runner.folder = folder_;
    runner.workers = options_.workers;
    runner.torch_tool = options_.torch_tool;
    runner.clock = context_.clock;
    runner.shutdown = context_.shutdown;
    const absl::StatusOr<RunnerReport> report =
        RunCells(cells, runner, [&progress](const RunnerProgress& now) { progress(now); });
    progress.End();
    FW_RETURN_IF_ERROR(report.status());
    if (!context_.json) {
      std::cerr << absl::StrFormat("%d runs: %d had been done, %d were run, %d failed\n",
                                   cells.size(), report->found, report->ran, report->failed.size());
      if (!report->failed.empty()) {
        std::cerr << "what failed is in " << folder_ << "/failed, and is tried again next time\n";
      }
    }
    return report->failed.empty();
  }

  static absl::StatusOr<std::string> OwnPath() {
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
    if (length <= 0) return absl::InternalError("cannot find this program's own path in /proc");
    return std::string(path, static_cast<size_t>(length));
  }

  // Of those cells that there are.
  absl::StatusOr<std::vector<SeedRun>> ReadRuns(const std::vector<Cell>& cells) const {
    std::vector<SeedRun> runs;
    for (const Cell& cell : cells) {
      absl::StatusOr<CellResult> result = ReadCell(CellsFolder(folder_), cell);
      if (absl::IsNotFound(result.status())) continue;
      FW_RETURN_IF_ERROR(result.status());
      runs.push_back({cell.seed, *std::move(result)});
    }
    return runs;
  }

  absl::StatusOr<TunedSetting> TuneOne(const std::vector<Variant>& variants,
                                       const std::vector<std::vector<Cell>>& cells) const {
    std::vector<std::vector<CellResult>> results(variants.size());
    for (size_t i = 0; i < cells.size(); ++i) {
      FW_ASSIGN_OR_RETURN(const std::vector<SeedRun> runs, ReadRuns(cells[i]));
      for (const SeedRun& run : runs) results[i].push_back(run.result);
    }
    return Tune(matrix_, variants, results);
  }

  absl::StatusOr<std::map<std::string, TunedSetting>> ReadTuned() const {
    FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(TunedPath(), bounds::kMaxConfigBytes));
    return ParseTuned(text, TunedPath());
  }

  // Settings that are not wanted keep what was chosen for them before. False: some runs failed.
  absl::StatusOr<bool> ChooseBySeeds() {
    const std::vector<uint64_t>& seeds = matrix_.seeds.at(kTuning);
    std::map<std::string, TunedSetting> before;
    if (FileExists(TunedPath())) {
      FW_ASSIGN_OR_RETURN(before, ReadTuned());
    }
    std::vector<std::vector<Cell>> all;
    std::map<std::string, std::vector<std::vector<Cell>>> cells;
    for (const Setting& setting : matrix_.settings) {
      if (setting.sweeps.empty() || !Wanted(setting)) continue;
      for (const Variant& one : VariantsOf(matrix_, setting)) {
        FW_ASSIGN_OR_RETURN(all.emplace_back(), MakeCells(matrix_, one, seeds, code_));
        cells[setting.name].push_back(all.back());
      }
    }
    FW_ASSIGN_OR_RETURN(const bool ran, RunMissing(all));
    std::string missing;
    for (const Setting& setting : matrix_.settings) {
      if (setting.sweeps.empty()) continue;
      if (!Wanted(setting)) {
        if (before.contains(setting.name)) tuned_.push_back(before.at(setting.name));
        if (!before.contains(setting.name)) missing = setting.name;
        continue;
      }
      FW_ASSIGN_OR_RETURN(TunedSetting one,
                          TuneOne(VariantsOf(matrix_, setting), cells.at(setting.name)));
      one.code = code_;
      for (const TunedVariant& variant : one.variants) {
        if (variant.runs < seeds.size()) missing = setting.name;
      }
      tuned_.push_back(std::move(one));
    }
    return WriteTuned(missing, ran);
  }

  absl::StatusOr<bool> WriteTuned(const std::string& missing, bool ran) const {
    if (missing.empty() && options_.of_code.empty()) {
      FW_RETURN_IF_ERROR(WriteFileAtomic(TunedPath(), TunedText(matrix_, tuned_)));
    }
    if (missing.empty() || !ran) return ran;
    // Whoever looks at a part, or at another code's runs, has chosen nothing.
    if (options_.phase == "tune") {
      if (!context_.json)
        std::cerr << TunedPath() << " is not written: " << missing << " lacks runs\n";
      return ran;
    }
    return absl::FailedPreconditionError(
        absl::StrCat("there is nothing to confirm: tuning runs of ", missing,
                     " are missing; run with --phase tune, without --only"));
  }

  absl::StatusOr<bool> Confirm() {
    FW_ASSIGN_OR_RETURN(const std::vector<uint64_t> seeds, ConfirmationSeeds());
    std::map<std::string, JobKeys> chosen;
    if (matrix_.sweeps()) {
      FW_ASSIGN_OR_RETURN(const auto tuned, ReadTuned());
      FW_RETURN_IF_ERROR(CheckTuned(matrix_, tuned, TunedPath()));
      for (const auto& [name, one] : tuned) chosen[name] = one.variants[one.best].chosen;
    }
    std::vector<Variant> variants;
    std::vector<std::vector<Cell>> cells;
    for (const Setting& setting : matrix_.settings) {
      if (!Wanted(setting)) continue;
      for (const Variant& one : VariantsOf(matrix_, setting)) {
        if (!setting.sweeps.empty() && one.chosen != chosen.at(setting.name)) continue;
        variants.push_back(one);
        FW_ASSIGN_OR_RETURN(cells.emplace_back(), MakeCells(matrix_, one, seeds, code_));
      }
    }
    FW_ASSIGN_OR_RETURN(const bool ran, RunMissing(cells));
    ReportInput input{.code = code_, .seeds_name = SeedsName(), .seeds = seeds.size()};
    for (size_t i = 0; i < variants.size(); ++i) {
      FW_ASSIGN_OR_RETURN(std::vector<SeedRun> runs, ReadRuns(cells[i]));
      input.settings.push_back({variants[i], std::move(runs)});
    }
    report_ = MakeReport(matrix_, input);
    claims_ = JudgeClaims(matrix_, input);
    return ran;
  }

  const Context& context_;
  const CompareOptions& options_;
  Matrix matrix_;
  std::string code_;
  std::string folder_;
  std::vector<TunedSetting> tuned_;
  std::optional<ComparisonReport> report_;
  Claims claims_;
};

// Files for people: pages and drawings.
absl::Status WriteOutputs(const CompareOptions& options, const ComparisonReport& report,
                          const Claims& claims) {
  std::vector<std::string> links;
  if (!options.plots.empty()) {
    FW_RETURN_IF_ERROR(EnsureDir(options.plots));
    const std::filesystem::path page = DirName(options.markdown);
    for (const auto& [name, plot] : {std::pair("outcome.svg", OutcomePlot(report)),
                                     std::pair("curve.svg", CurvePlot(report))}) {
      const std::string path = absl::StrCat(options.plots, "/", name);
      if (plot.empty()) continue;
      FW_RETURN_IF_ERROR(WriteFileAtomic(path, plot));
      links.push_back(std::filesystem::path(path).lexically_proximate(page).string());
    }
  }
  if (!options.markdown.empty()) {
    FW_RETURN_IF_ERROR(
        WriteFileAtomic(options.markdown, ComparisonMarkdown(report, claims, links)));
  }
  if (options.html.empty()) return absl::OkStatus();
  return WriteFileAtomic(options.html, ComparisonPage(report, claims));
}

}  // namespace

int Compare(const Context& context, const CompareOptions& options) {
  ConfigureLogging({.level = LogLevel::kError});
  ComparisonRun comparison(context, options);
  if (const absl::Status opened = comparison.Open(); !opened.ok()) return Fail(context, opened);
  const absl::StatusOr<bool> ran = comparison.Run();
  if (!ran.ok()) return Fail(context, ran.status());
  if (comparison.report() != nullptr) {
    const absl::Status written = WriteOutputs(options, *comparison.report(), comparison.claims());
    if (!written.ok()) return Fail(context, written);
  }
  std::cout << comparison.Text() << std::flush;
  return *ran ? kOk : kJobFailed;
}

void AddCompareCommand(CLI::App* simulate, Action* action) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = simulate->add_subcommand(
      "compare",
      "Runs a matrix of settings with the same seeds, and compares (docs/comparison.md)");
  command->footer("Example: fedwatt simulate compare matrix.toml --workers 4 --out runs");
  command->add_option("matrix", options->matrix, "Matrix file (TOML)")->required();
  command->add_option("--out", options->out, "Folder of the runs; default: NAME-runs");
  command->add_option("--workers", options->workers, "Runs at a time; the result is the same")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--phase", options->phase,
                   "tune: choose among the sweeps; confirm: compare what was chosen")
      ->check(CLI::IsMember({"tune", "confirm"}));
  command->add_option("--only", options->only, "These settings")->delimiter(',');
  command->add_option("--seeds-of", options->seeds_of,
                      "This set of seeds, instead of confirmation");
  command->add_option("--reference", options->reference,
                      "Compares with this setting, instead of the matrix's reference");
  command->add_option("--of-code", options->of_code,
                      "Reports on the runs of this version of the code, and runs nothing");
  command->add_option("--plots", options->plots,
                      "Writes outcome.svg and curve.svg into this folder");
  command->add_option("--markdown", options->markdown, "Writes the tables here");
  command->add_option("--html", options->html, "Writes tables and plots here, as a page");
  command->add_option("--torch-tool", options->torch_tool, "Path of fedwatt-torch");
  command->callback(
      [=] { *action = [=](const Context& context) { return Compare(context, *options); }; });
}

}  // namespace fedwatt::cli
