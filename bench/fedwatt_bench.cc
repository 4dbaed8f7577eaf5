#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/codecs.h"
#include "bench/interrupt.h"
#include "bench/limits.h"
#include "bench/memory.h"
#include "bench/micro.h"
#include "bench/rounds.h"
#include "bench/scratch_dir.h"
#include "bench/sdk.h"
#include "bench/simulate.h"
#include "bench/table.h"
#include "bench/train.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt::bench {
namespace {

constexpr char kFooter[] = R"(Sections:
  rounds   rounds without training, beside bare gRPC that moves the same bytes (4 minutes)
  train    images a second of a client, beside a bare LibTorch loop (1 minute)
  codecs   errors and sizes beside theory, speeds beside this machine's memory (20 seconds)
  simulate the simulator: time, memory, real training by worker processes (5 minutes)
  memory   the coordinator's peak memory with 10 and with 1,000 clients (2 minutes)
  sdk      the client library: size, memory, start, wake-ups, 500 clients in one process (3 minutes)
  micro    the coordinator's inner loops, beside memcpy, axpy and fsync (1 minute)
  all      all of them

Example:
  ./dev bench rounds --json bench.json

Exit code: 0 measured, 1 something failed, 2 wrong usage, 3 a target was missed (with --strict).
What is measured and how: docs/bench.md.)";

struct Options {
  std::string section = "all";
  std::string json;
  std::string only;
  std::string scratch;
  std::string library;
  bool strict = false;
};

std::string DefaultScratch() {
  const char* const folder = std::getenv("TMPDIR");
  return folder == nullptr ? "/tmp" : folder;
}

std::string BinDir() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
  return size <= 0 ? "." : DirName(std::string(path, static_cast<size_t>(size)));
}

absl::Status Run(const Options& options, Table* table) {
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Interrupt> interrupt, Interrupt::Install());
  const SystemClock clock;
  const std::string bin_dir = BinDir();
  const auto wanted = [&](const char* section) {
    return options.section == "all" || options.section == section;
  };
  const MachineLimits limits = MeasureLimits(clock);
  AddLimits(limits, table);
  if (wanted("rounds")) {
    const RoundsOptions rounds{bin_dir, options.scratch, options.only};
    FW_RETURN_IF_ERROR(RunRounds(rounds, clock, interrupt.get(), table));
  }
  if (wanted("memory")) {
    FW_RETURN_IF_ERROR(RunMemory({bin_dir, options.scratch}, clock, interrupt.get(), table));
  }
  if (wanted("train")) {
    std::fprintf(stderr, "== training\n");
    const TrainOptions train{.bin_dir = bin_dir, .scratch = options.scratch};
    FW_RETURN_IF_ERROR(RunTrain(train, clock, *interrupt, table));
  }
  if (wanted("simulate")) {
    std::fprintf(stderr, "== simulation\n");
    FW_RETURN_IF_ERROR(RunSimulate({bin_dir, options.scratch}, clock, *interrupt, table));
  }
  if (wanted("codecs")) {
    std::fprintf(stderr, "== codecs\n");
    FW_RETURN_IF_ERROR(RunCodecs(*interrupt, table));
  }
  if (wanted("sdk")) {
    FW_RETURN_IF_ERROR(
        RunSdk({bin_dir, options.library, options.scratch}, clock, interrupt.get(), table));
  }
  if (wanted("micro")) {
    std::fprintf(stderr, "== inner loops\n");
    FW_ASSIGN_OR_RETURN(const ScratchDir dir, ScratchDir::Create(options.scratch));
    FW_RETURN_IF_ERROR(interrupt->Check());
    FW_RETURN_IF_ERROR(RunMicro(clock, limits, dir.path(), table));
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app{"Measures this machine's limits and our figures beside them, as one table."};
  Options options;
  options.scratch = DefaultScratch();
  app.add_option("SECTION", options.section,
                 "rounds | memory | train | simulate | codecs | sdk | micro | all")
      ->check(
          CLI::IsMember({"rounds", "memory", "train", "simulate", "codecs", "sdk", "micro", "all"}))
      ->capture_default_str();
  app.add_option("--json", options.json, "Also write the figures to this file")->type_name("FILE");
  app.add_option("--only", options.only, "Of the rounds, those whose name contains this");
  app.add_option("--scratch", options.scratch, "Folder for temporary files (1 GB)")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--library", options.library,
                 "For sdk: libfedwatt_client.so of the preset sdk, whose size is measured")
      ->type_name("FILE");
  app.add_flag("--strict", options.strict, "Exit code 3 when a target was missed");
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  Table table;
  absl::Status status = Run(options, &table);
  if (!table.figures().empty()) std::fputs(table.ToText().c_str(), stdout);
  if (status.ok() && !options.json.empty()) {
    status = WriteFileAtomic(options.json, table.ToJson());
  }
  if (!status.ok()) {
    std::fprintf(stderr, "fedwatt-bench: %s\n", StatusText(status).c_str());
    return 1;
  }
  return options.strict && table.CountShort() > 0 ? 3 : 0;
}

}  // namespace
}  // namespace fedwatt::bench

int main(int argc, char** argv) { return fedwatt::bench::Main(argc, argv); }
