#include "simulation/compare/runner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/base/subprocess.h"
#include "nlohmann/json.hpp"
#include "simulation/scratch_folder.h"

namespace fedwatt {
namespace {

constexpr int64_t kPollMs = 20;
constexpr int64_t kProgressUs = 1'000'000;
constexpr int64_t kGraceMs = 1000;
constexpr uint64_t kMaxLogBytes = uint64_t{64} << 20;
constexpr size_t kLastLines = 20;

struct Child {
  const Cell* cell = nullptr;
  Subprocess process;
  std::string log;
  std::string measures;
  int64_t begun_us = 0;
};

std::string LastLines(const std::string& log) {
  std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  if (lines.size() > kLastLines) lines.erase(lines.begin(), lines.end() - kLastLines);
  return absl::StrJoin(lines, "\n");
}

// What a run says when it gives up, else its last words.
std::string ReasonIn(const std::string& log) {
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->starts_with("error: ")) return line->substr(7);
  }
  return lines.empty() ? "it said nothing" : lines.back();
}

class Runner {
 public:
  Runner(const RunnerOptions& options, const std::function<void(const RunnerProgress&)>& progress)
      : options_(options), progress_(progress), begun_us_(options.clock->MonotonicUs()) {}

  absl::StatusOr<RunnerReport> Run(const std::vector<Cell>& cells) {
    for (const char* const below : {"/cells", "/failed", "/running"}) {
      FW_RETURN_IF_ERROR(EnsureDir(options_.folder + below));
    }
    FW_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Acquire(options_.folder + "/lock"));
    FW_ASSIGN_OR_RETURN(scratch_, MakeScratchFolder(""));
    for (const Cell& cell : cells) {
      if (FileExists(PathOf("cells", cell))) {
        ++report_.found;
      } else {
        waiting_.push_back(&cell);
      }
    }
    std::reverse(waiting_.begin(), waiting_.end());
    to_run_ = waiting_.size();
    const absl::Status status = Work();
    for (Child& child : children_) child.process.Terminate(kGraceMs).IgnoreError();
    // Theirs lie in ours: a run that was killed cannot remove its own.
    std::error_code ignored;
    std::filesystem::remove_all(scratch_, ignored);
    std::filesystem::remove_all(options_.folder + "/running", ignored);
    FW_RETURN_IF_ERROR(status);
    return std::move(report_);
  }

 private:
  absl::Status Work() {
    while (!waiting_.empty() || !children_.empty()) {
      while (!waiting_.empty() && children_.size() < static_cast<size_t>(options_.workers)) {
        FW_RETURN_IF_ERROR(Start(*waiting_.back()));
        waiting_.pop_back();
      }
      for (size_t i = children_.size(); i-- > 0;) {
        const absl::StatusOr<ExitStatus> exit = children_[i].process.Wait(0);
        if (absl::IsDeadlineExceeded(exit.status())) continue;
        FW_RETURN_IF_ERROR(exit.status());
        const Child child = std::move(children_[i]);
        children_.erase(children_.begin() + static_cast<ptrdiff_t>(i));
        FW_RETURN_IF_ERROR(End(child, *exit));
      }
      if (options_.clock->MonotonicUs() - told_us_ >= kProgressUs) Tell(nullptr, "");
      if (options_.shutdown->WaitFor(kPollMs)) return absl::CancelledError("interrupted");
    }
    return absl::OkStatus();
  }

  std::string PathOf(const char* below, const Cell& cell) const {
    return absl::StrCat(options_.folder, "/", below, "/", cell.FileName());
  }

  absl::Status Start(const Cell& cell) {
    Child child{.cell = &cell, .begun_us = options_.clock->MonotonicUs()};
    child.log = PathOf("running", cell) + ".log";
    child.measures = PathOf("running", cell) + ".measures";
    SubprocessOptions run{.argv = {options_.program}};
    run.argv.insert(run.argv.end(), cell.arguments.begin(), cell.arguments.end());
    run.argv.insert(run.argv.end(), {"--measures", child.measures, "--scratch", scratch_});
    if (!options_.torch_tool.empty()) {
      run.argv.insert(run.argv.end(), {"--torch-tool", options_.torch_tool});
    }
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int out = open(child.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    run.fds = {{in, 0}, {out, 1}, {out, 2}};
    absl::StatusOr<Subprocess> process =
        out < 0 ? FileError(errno, "write", child.log) : Subprocess::Spawn(run);
    close(in);
    close(out);
    FW_RETURN_IF_ERROR(process.status());
    child.process = *std::move(process);
    children_.push_back(std::move(child));
    return absl::OkStatus();
  }

  absl::Status End(const Child& child, const ExitStatus& exit) {
    const double wall_s =
        static_cast<double>(options_.clock->MonotonicUs() - child.begun_us) * 1e-6;
    const std::string log = ReadFile(child.log, kMaxLogBytes).value_or("");
    const std::string measures = ReadFile(child.measures, kMaxLogBytes).value_or("");
    std::string failure;
    // Without measures it did not get to its end, whatever it exits with.
    if (measures.empty()) {
      failure = absl::StrCat(exit.ToString(), ": ", ReasonIn(log));
    } else if (const auto result = ParseMeasures(measures, child.measures); !result.ok()) {
      failure = StatusText(result.status());
    } else if (!result->violations.empty()) {
      failure = "what must hold was broken: " + absl::StrJoin(result->violations, "; ");
    }
    const Cell& cell = *child.cell;
    ++done_;
    if (failure.empty()) {
      FW_RETURN_IF_ERROR(WriteFileAtomic(PathOf("cells", cell), CellText(cell, measures, wall_s)));
      FW_RETURN_IF_ERROR(RemoveIfExists(PathOf("failed", cell)));
      ++report_.ran;
    } else {
      const nlohmann::json said = {{"command", "fedwatt " + absl::StrJoin(cell.arguments, " ")},
                                   {"reason", failure},
                                   {"last_lines", LastLines(log)}};
      FW_RETURN_IF_ERROR(WriteFileAtomic(
          PathOf("failed", cell),
          said.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"));
      report_.failed.push_back({cell.FileName(), failure});
    }
    FW_RETURN_IF_ERROR(RemoveIfExists(child.log));
    FW_RETURN_IF_ERROR(RemoveIfExists(child.measures));
    Tell(&cell, failure);
    return absl::OkStatus();
  }

  void Tell(const Cell* ended, const std::string& failure) {
    told_us_ = options_.clock->MonotonicUs();
    if (!progress_) return;
    RunnerProgress now{.cells = to_run_, .done = done_, .running = children_.size()};
    now.elapsed_s = static_cast<double>(told_us_ - begun_us_) * 1e-6;
    if (done_ > 0) {
      now.left_s =
          now.elapsed_s / static_cast<double>(done_) * static_cast<double>(to_run_ - done_);
    }
    now.ended = ended;
    now.failure = failure;
    progress_(now);
  }

  const RunnerOptions options_;
  const std::function<void(const RunnerProgress&)>& progress_;
  const int64_t begun_us_;
  int64_t told_us_ = 0;
  std::vector<const Cell*> waiting_;  // the next one last
  std::vector<Child> children_;
  std::string scratch_;
  size_t to_run_ = 0;
  size_t done_ = 0;
  RunnerReport report_;
};

}  // namespace

absl::StatusOr<RunnerReport> RunCells(const std::vector<Cell>& cells, const RunnerOptions& options,
                                      const std::function<void(const RunnerProgress&)>& progress) {
  return Runner(options, progress).Run(cells);
}

std::string CellsFolder(const std::string& folder) { return folder + "/cells"; }

}  // namespace fedwatt
