#include "bench/micro.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/limits.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/codec/codec.h"
#include "common/tensor/fixed_point.h"
#include "server/round/round.h"
#include "server/selectors/selector.h"
#include "server/store/sqlite_store.h"

namespace fedwatt::bench {
namespace {

constexpr char kGroup[] = "inner loops, one thread";
constexpr size_t kElements = size_t{1} << 24;
constexpr int kRepetitions = 9;

void AddRate(const char* name, double value, double floor, const char* floor_name, Table* table) {
  table->Add({.group = kGroup,
              .name = name,
              .value = value,
              .unit = "GB/s",
              .floor = floor,
              .floor_name = floor_name});
}

absl::Status BenchTensors(const Clock& clock, const MachineLimits& limits, Table* table) {
  const std::vector<float> x(kElements, 0.25f);
  std::vector<int64_t> sums(kElements, 1);
  const double elements = static_cast<double>(kElements);
  FW_ASSIGN_OR_RETURN(const int scale, ChooseScale(64, 100'000, 1000));
  const double factor = FoldFactor(600, 1, scale);
  const double fold_s = MedianSeconds(clock, kRepetitions, [&] {
    FoldF32(x, factor, sums);
    KeepMemory(sums.data());
  });
  AddRate("fixed-point fold (20 bytes an element)", 20e-9 * elements / fold_s, limits.axpy_gb_s,
          "axpy", table);
  const double scan_s = MedianSeconds(clock, kRepetitions, [&] {
    F32Scanner scanner;
    scanner.Add(x);
    const F32Stats stats = scanner.Stats();
    KeepMemory(&stats);
  });
  AddRate("validate: finite, bound, norm (4 bytes)", 4e-9 * elements / scan_s, limits.memcpy_gb_s,
          "memcpy", table);
  std::vector<float> mean(kElements);
  const double mean_s = MedianSeconds(clock, kRepetitions, [&] {
    ToMeanF32(sums, factor, mean);
    KeepMemory(mean.data());
  });
  AddRate("sums to mean (12 bytes)", 12e-9 * elements / mean_s, limits.memcpy_gb_s, "memcpy",
          table);
  return absl::OkStatus();
}

absl::Status BenchCodec(const Clock& clock, const MachineLimits& limits, Table* table) {
  const std::vector<float> x(kElements, 0.25f);
  const double bytes = static_cast<double>(kElements) * sizeof(float);
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Codec> codec, MakeCodec("raw_f32"));
  CodecContext context;
  context.job = "bench";
  absl::Status status;
  std::string encoded;
  const double encode_s = MedianSeconds(clock, kRepetitions, [&] {
    encoded.clear();
    status.Update(codec->Encode(x, context, &encoded));
    KeepMemory(encoded.data());
  });
  FW_RETURN_IF_ERROR(status);
  std::vector<float> block(64 * 1024);
  const std::span<const uint8_t> payload(reinterpret_cast<const uint8_t*>(encoded.data()),
                                         encoded.size());
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, codec->Open(payload, kElements));
  const double decode_s = MedianSeconds(clock, kRepetitions, [&] {
    for (uint64_t begin = 0; begin < kElements; begin += block.size()) {
      status.Update(decoder->Read(begin, block));
      KeepMemory(block.data());
    }
  });
  FW_RETURN_IF_ERROR(status);
  AddRate("raw_f32 encode (8 bytes an element)", 2e-9 * bytes / encode_s, limits.memcpy_gb_s,
          "memcpy", table);
  AddRate("raw_f32 decode by blocks (8 bytes)", 2e-9 * bytes / decode_s, limits.memcpy_gb_s,
          "memcpy", table);
  return absl::OkStatus();
}

// A whole round of `clients`, event by event; returns how many events it took.
int64_t StepOneRound(uint32_t clients, const std::vector<std::string>& names) {
  RoundLimits limits;
  limits.goal = limits.assign = limits.min_reports = clients;
  limits.selection_timeout_ms = limits.report_deadline_ms = 1'000'000;
  Round round(RoundKey{.job = "bench", .round = 1, .attempt = 1}, limits);
  int64_t events = 0;
  const auto step = [&](const RoundEvent& event) {
    const RoundActions actions = round.Step(event);
    KeepMemory(actions.data());
    ++events;
  };
  step(BeginAttempt{1});
  step(CandidatesChanged{2, clients});
  step(ClientsSelected{3, names});
  step(AssignmentsDurable{4});
  for (uint32_t i = 0; i < clients; ++i) step(ReportArrived{5, i, 100, {}});
  step(Aggregated{6});
  step(Applied{7, {}});
  step(CommitDurable{8});
  return events;
}

void BenchRound(const Clock& clock, Table* table) {
  constexpr uint32_t kClients = 1000;
  std::vector<std::string> names;
  for (uint32_t i = 0; i < kClients; ++i) names.push_back(absl::StrCat("client-", i));
  int64_t events = 0;
  const double seconds =
      MedianSeconds(clock, kRepetitions, [&] { events = StepOneRound(kClients, names); });
  table->Add({.group = kGroup,
              .name = "Round::Step, a round of 1000 clients",
              .value = 1e-6 * static_cast<double>(events) / seconds,
              .unit = "M/s"});
}

// Clients as the coordinator hands them to a selector: in order of their pseudonyms, most with a
// history, all with telemetry and a prediction.
std::vector<Candidate> WaitingClients(size_t count) {
  std::vector<Candidate> candidates(count);
  Rng rng(RngKey{.job = "bench", .purpose = "clients", .seed = 1});
  for (size_t i = 0; i < count; ++i) {
    Candidate& candidate = candidates[i];
    for (int word = 0; word < 4; ++word) {
      absl::StrAppend(&candidate.client, absl::Hex(rng.NextU64(), absl::kZeroPad16));
    }
    candidate.example_count_bucket = static_cast<uint32_t>(5 + i % 7);
    if (i % 3 != 0) {
      const double loss = 3 * rng.Uniform01();
      candidate.participations = 1 + i % 4;
      candidate.last_round = 1 + i % 40;
      candidate.last_loss = LossSums{100, 100 * loss, 100 * loss * loss, 0, 0};
    }
    const auto bucket = static_cast<uint8_t>(i % kTelemetryBuckets);
    candidate.telemetry = {i % 2 == 0, bucket, 3, bucket, bucket};
    candidate.cost = CostPrediction{10 + 200 * rng.Uniform01(), 5, 10 + 60 * rng.Uniform01(), 1};
    candidate.carbon_g_per_kwh = 50 + 700 * rng.Uniform01();
    candidate.power_domain = absl::StrCat("domain-", rng.UniformInt(50));
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.client < b.client; });
  return candidates;
}

// On one core: what the machine does besides does not count.
double MedianCpuSeconds(const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < kRepetitions; ++i) {
    const int64_t began_us = SelfCpuTimeUs();
    work();
    seconds.push_back(1e-6 * static_cast<double>(SelfCpuTimeUs() - began_us));
  }
  return Median(std::move(seconds));
}

absl::Status BenchSelectors(size_t count, Table* table) {
  const std::vector<Candidate> candidates = WaitingClients(count);
  std::map<std::string, double> surplus;
  for (int domain = 0; domain < 50; ++domain) {
    surplus[absl::StrCat("domain-", domain)] = 20 + 10 * domain;
  }
  const double look_s = MedianCpuSeconds([&] {
    uint64_t sum = 0;
    for (const Candidate& candidate : candidates) {
      sum += static_cast<uint8_t>(candidate.client.back()) + candidate.last_round;
    }
    KeepMemory(&sum);
  });
  for (const auto& [name, make] : BuiltinSelectors()) {
    FW_ASSIGN_OR_RETURN(const std::unique_ptr<Selector> selector, make(PluginSpec{name, {}}));
    SelectionRequest request;
    request.key = RoundKey{.job = "bench", .round = 41, .attempt = 1};
    request.count = 1000;
    request.candidates = candidates;
    request.surplus_watts = surplus;
    absl::Status status;
    const double select_s = MedianCpuSeconds([&] {
      Rng rng(RngKey{.job = "bench", .round = 1, .purpose = "select", .seed = 1});
      const absl::StatusOr<Selection> selection = selector->Select(request, rng);
      status.Update(selection.status());
      KeepMemory(&selection);
    });
    FW_RETURN_IF_ERROR(status);
    table->Add({.group = kGroup,
                .name = absl::StrCat("selector ", name, ", 1000 of ", count),
                .value = 1e3 * select_s,
                .unit = "ms",
                .floor = 1e3 * look_s,
                .floor_name = "one look at each client",
                .target = Target{Target::Kind::kValueAtMost, count <= 100'000 ? 50.0 : 1000.0}});
  }
  return absl::OkStatus();
}

// Waits for the batches that were written through it.
class Writes {
 public:
  explicit Writes(Store* store) : store_(store) {}

  void Add(StoreWrite write) {
    {
      MutexLock lock(&mutex_);
      ++open_;
    }
    std::vector<StoreWrite> batch;
    batch.push_back(std::move(write));
    store_->Write(std::move(batch), [this](absl::Status status) {
      MutexLock lock(&mutex_);
      status_.Update(status);
      if (--open_ == 0) durable_.NotifyAll();
    });
  }

  absl::Status Wait() {
    MutexLock lock(&mutex_);
    while (open_ > 0) durable_.Wait(&mutex_);
    return status_;
  }

 private:
  Store* const store_;
  Mutex mutex_;
  CondVar durable_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Appends of `count` reports of one attempt, all at once or each after the one before; seconds.
absl::StatusOr<double> AppendReports(const Clock& clock, Store* store, uint64_t round,
                                     uint32_t count, bool at_once) {
  Writes writes(store);
  const RoundKey key{.job = "bench-1", .round = round, .attempt = 1};
  writes.Add(AppendLog{AttemptBegan{key, RoundLimits{}, 1}});
  ClientsAssigned assigned{.key = key};
  for (uint32_t i = 0; i < count; ++i) assigned.clients.push_back(absl::StrCat("client-", i));
  writes.Add(AppendLog{std::move(assigned)});
  FW_RETURN_IF_ERROR(writes.Wait());
  const int64_t begin_us = clock.MonotonicUs();
  for (uint32_t i = 0; i < count; ++i) {
    ReportAccepted accepted{.key = key, .index = i};
    accepted.report.assignment_id = absl::StrCat("bench-1/r", round, "/a1/", i);
    accepted.report.weight = 100;
    writes.Add(AppendLog{std::move(accepted)});
    if (!at_once) FW_RETURN_IF_ERROR(writes.Wait());
  }
  FW_RETURN_IF_ERROR(writes.Wait());
  return static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6;
}

absl::StatusOr<double> FsyncsPerSecond(const Clock& clock, const std::string& dir) {
  constexpr int kSyncs = 200;
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(absl::StrCat(dir, "/fsync")));
  const std::vector<uint8_t> page(4096, 1);
  const int64_t begin_us = clock.MonotonicUs();
  for (int i = 0; i < kSyncs; ++i) {
    FW_RETURN_IF_ERROR(file.Append(page));
    FW_RETURN_IF_ERROR(file.Sync());
  }
  return kSyncs / (static_cast<double>(clock.MonotonicUs() - begin_us) * 1e-6);
}

absl::Status BenchStore(const Clock& clock, const std::string& scratch, Table* table) {
  FW_ASSIGN_OR_RETURN(const double fsyncs_s, FsyncsPerSecond(clock, scratch));
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<SqliteStore> store,
                      SqliteStore::Open({.dir = absl::StrCat(scratch, "/store")}));
  Writes writes(store.get());
  JobRecord job;
  job.id = "bench-1";
  job.spec.name = job.spec.dataset.name = "bench";
  job.spec.round.goal = 1;
  writes.Add(PutJob{job});
  FW_RETURN_IF_ERROR(writes.Wait());
  std::vector<double> single, grouped;
  for (uint64_t round = 1; round <= 6; round += 2) {
    constexpr uint32_t kSingle = 100;
    constexpr uint32_t kGrouped = 2000;
    FW_ASSIGN_OR_RETURN(const double one_by_one,
                        AppendReports(clock, store.get(), round, kSingle, false));
    FW_ASSIGN_OR_RETURN(const double at_once,
                        AppendReports(clock, store.get(), round + 1, kGrouped, true));
    single.push_back(kSingle / one_by_one);
    grouped.push_back(kGrouped / at_once);
  }
  const auto add = [&](const char* name, const std::vector<double>& rates) {
    table->Add({.group = kGroup,
                .name = name,
                .value = Median(rates),
                .unit = "1/s",
                .floor = fsyncs_s,
                .floor_name = "fsync of 4 KiB"});
  };
  add("SQLite durable appends, one by one", single);
  add("SQLite durable appends, 2000 at once", grouped);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunMicro(const Clock& clock, const MachineLimits& limits, const std::string& scratch,
                      Table* table) {
  FW_RETURN_IF_ERROR(BenchTensors(clock, limits, table));
  FW_RETURN_IF_ERROR(BenchCodec(clock, limits, table));
  BenchRound(clock, table);
  for (const size_t clients : {100'000, 1'000'000}) {
    FW_RETURN_IF_ERROR(BenchSelectors(clients, table));
  }
  return BenchStore(clock, scratch, table);
}

}  // namespace fedwatt::bench
