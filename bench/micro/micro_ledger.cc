// Joules into the ledger, durable, and answers out of it: docs/energy.md.
//
//   bench_micro_ledger --benchmark_counters_tabular=true

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite_store.h"

namespace fedwatt {
namespace {

constexpr uint32_t kClients = 1000;
constexpr Phase kPhases[] = {Phase::kDownload, Phase::kTrain, Phase::kEncode, Phase::kUpload};

class LedgerFixture {
 public:
  LedgerFixture() {
    std::string path = (std::filesystem::temp_directory_path() / "fedwatt-ledger-XXXXXX").string();
    dir_ = mkdtemp(path.data());
    store_ = *SqliteStore::Open({.dir = dir_});
    JobRecord job;
    job.id = "job-1";
    job.spec.name = "job";
    job.spec.dataset.name = "digits";
    job.spec.round.goal = kClients;
    store_->Write({PutJob{job}}, [](const absl::Status&) {});
  }
  ~LedgerFixture() {
    store_.reset();
    std::filesystem::remove_all(dir_);
  }

  SqliteStore& store() { return *store_; }

  // A round of kClients with four samples each, reported one by one and committed; each report is
  // a batch of its own, as in the driver. Returns once all is durable.
  void Round(uint64_t round) {
    const RoundKey key{"job-1", round, 1, false};
    ClientsAssigned assigned;
    assigned.key = key;
    for (uint32_t i = 0; i < kClients; ++i) assigned.clients.push_back(absl::StrCat("client-", i));
    assigned.forecasts.assign(kClients, {1000, 100, 10, 100'000, false, "phone"});
    assigned.carbon = CarbonIntensity{.g_per_kwh = 381, .source = "table"};
    store_->Write({AppendLog{std::move(assigned)}}, [](const absl::Status&) {});
    for (uint32_t i = 0; i < kClients; ++i) {
      store_->Write({AppendLog{Accepted(key, i)}}, [](const absl::Status&) {});
    }
    RoundCommitted commit;
    commit.key = key;
    commit.model.model = "model";
    commit.summary.key = key;
    std::promise<absl::Status> done;
    store_->Write({AppendLog{std::move(commit)}},
                  [&done](absl::Status status) { done.set_value(std::move(status)); });
    if (const absl::Status status = done.get_future().get(); !status.ok()) std::abort();
  }

 private:
  static ReportAccepted Accepted(const RoundKey& key, uint32_t index) {
    ReportAccepted record;
    record.key = key;
    record.index = index;
    record.report.assignment_id = MakeAssignmentId(key, index);
    record.report.weight = 1;
    record.report.metrics.examples = 100;
    record.report.metrics.steps = 10;
    for (const Phase phase : kPhases) {
      EnergySample sample;
      sample.source = "rapl";
      sample.quality = EnergyQuality::kMeasured;
      sample.scope = EnergyScope::kPackage;
      sample.phase = phase;
      sample.energy_uj = 1000 + index;
      sample.sigma_uj = 10;
      sample.coverage = 1;
      sample.duration_us = 1000;
      record.report.energy.push_back(std::move(sample));
    }
    return record;
  }

  std::string dir_;
  std::unique_ptr<SqliteStore> store_;
};

void BM_Ingest(benchmark::State& state) {
  LedgerFixture ledger;
  uint64_t round = 0;
  for (auto _ : state) ledger.Round(++round);
  state.counters["samples/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kClients * std::size(kPhases),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Ingest)->Iterations(10)->Unit(benchmark::kMillisecond)->UseRealTime();

// Asks after so many rounds.
void Ask(benchmark::State& state, EnergyAxis axis, const EnergyFilter& filter) {
  LedgerFixture ledger;
  for (int64_t round = 1; round <= state.range(0); ++round) {
    ledger.Round(static_cast<uint64_t>(round));
  }
  for (auto _ : state) {
    auto sums = ledger.store().EnergySums("job-1", axis, filter);
    if (!sums.ok() || sums->empty()) std::abort();
    benchmark::DoNotOptimize(*sums);
  }
  state.counters["samples"] = static_cast<double>(state.range(0)) * kClients * std::size(kPhases);
}

void BM_Summary(benchmark::State& state) { Ask(state, EnergyAxis::kPhase, {}); }
BENCHMARK(BM_Summary)->Arg(1)->Arg(10)->Unit(benchmark::kMicrosecond);

void BM_ByClient(benchmark::State& state) { Ask(state, EnergyAxis::kClient, {}); }
BENCHMARK(BM_ByClient)->Arg(10)->Arg(100)->Unit(benchmark::kMillisecond);

void BM_ByClientOfPhase(benchmark::State& state) {
  Ask(state, EnergyAxis::kClient, EnergyFilter{.phase = Phase::kTrain});
}
BENCHMARK(BM_ByClientOfPhase)->Arg(10)->Arg(100)->Unit(benchmark::kMillisecond);

void BM_OneClientByPhase(benchmark::State& state) {
  Ask(state, EnergyAxis::kPhase, EnergyFilter{.client = "client-7"});
}
BENCHMARK(BM_OneClientByPhase)->Arg(10)->Arg(100)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fedwatt

BENCHMARK_MAIN();
