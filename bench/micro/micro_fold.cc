// How near the fold of an update is to what memory allows. Read "GB/s" beside memcpy's and the
// double axpy's of the same run, and "items_per_second" as coordinates.
//
//   bench_micro_fold [--benchmark_filter=...]

#include <cstdint>
#include <cstring>
#include <vector>

#include "benchmark/benchmark.h"
#include "common/tensor/fixed_point.h"

namespace {

constexpr size_t kInCache = 1 << 12;
constexpr size_t kInMemory = 10'000'000;

void Report(benchmark::State& state, size_t bytes_per_coordinate) {
  const auto coordinates = static_cast<int64_t>(state.iterations()) * state.range(0);
  state.SetItemsProcessed(coordinates);
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(coordinates) * static_cast<double>(bytes_per_coordinate) / 1e9,
      benchmark::Counter::kIsRate);
}

// The floor of everything that moves bytes: 4 in, 4 out.
void BM_Memcpy(benchmark::State& state) {
  const std::vector<float> from(static_cast<size_t>(state.range(0)), 0.5f);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  Report(state, 8);
}

// The same traffic as the fold (4 + 8 in, 8 out), with the accumulator as double.
void BM_DoubleAxpy(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 0.5f);
  std::vector<double> acc(x.size());
  const double factor = 3.7;
  for (auto _ : state) {
    for (size_t i = 0; i < x.size(); ++i) acc[i] += static_cast<double>(x[i]) * factor;
    benchmark::DoNotOptimize(acc.data());
    benchmark::ClobberMemory();
  }
  Report(state, 20);
}

void BM_Fold(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 0.5f);
  std::vector<int64_t> acc(x.size());
  // Small enough that no number of iterations overflows.
  const double factor = fedwatt::FoldFactor(600, 1, 10);
  for (auto _ : state) {
    fedwatt::FoldF32(x, factor, acc);
    benchmark::DoNotOptimize(acc.data());
    benchmark::ClobberMemory();
  }
  Report(state, 20);
}

void BM_Validate(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 0.5f);
  for (auto _ : state) {
    fedwatt::F32Scanner scanner;
    scanner.Add(x);
    benchmark::DoNotOptimize(scanner.Stats());
  }
  Report(state, 4);
}

BENCHMARK(BM_Memcpy)->Arg(kInCache)->Arg(kInMemory);
BENCHMARK(BM_DoubleAxpy)->Arg(kInCache)->Arg(kInMemory);
BENCHMARK(BM_Fold)->Arg(kInCache)->Arg(kInMemory);
BENCHMARK(BM_Validate)->Arg(kInCache)->Arg(kInMemory);

}  // namespace

BENCHMARK_MAIN();
