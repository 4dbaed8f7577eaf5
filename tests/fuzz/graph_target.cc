// Training graphs. An input is a graph; the manifest and the input's shape are fixed. What passes
// the checks is trained for a step: neither layer nor loss may leave its memory.

#include <algorithm>
#include <vector>

#include "client/trainers/portable/graph_run.h"
#include "common/base/clock.h"
#include "common/graph/training_graph.h"
#include "tests/client/trainers/portable/random_dataset.h"
#include "tests/common/graph/small_graph.h"
#include "tests/fuzz/fuzz_target.h"

namespace fedwatt::fuzz {
namespace {

constexpr uint64_t kMemory = 4 << 20;
constexpr int64_t kMostPooled = 32;  // a window's side: larger ones are as legal, and slow
constexpr uint64_t kExamples = 3;

// One step and an evaluation, on a clock that ends what takes too long.
void TrainOnce(portable::Network& network, const BundleHeader& header) {
  const SystemClock clock;
  const std::atomic<bool> cancel{false};
  const WorkMonitor::ProgressFn nobody;
  constexpr int64_t kLimitMs = 2'000;
  WorkMonitor monitor(clock, clock.MonotonicUs() + kLimitMs * 1000, kLimitMs, cancel, nobody);
  Plan plan;
  plan.batch_size = kExamples;
  const std::vector<uint8_t> flat(header.manifest.TotalBytes(), 0x3c);
  std::vector<const uint8_t*> base;
  for (size_t i = 0; i < header.manifest.tensors().size(); ++i) {
    base.push_back(flat.data() + header.manifest.OffsetBytes(i));
  }
  if (!network.Load(base).ok()) return;
  const auto layout = MakeUpdateLayout(header.manifest, {}, plan.buffers);
  Expect(layout.ok(), "the manifest has a layout");
  const RandomDataset data(kExamples,
                           {.x_shape = header.input_shape, .x_dtype = header.input_dtype});
  const portable::TrainingSetting setting{network, data, plan, *layout, base, clock, monitor};
  portable::TrainingState state(header.manifest, plan.optimizer, data.size(), nullptr);
  const absl::Status trained = portable::TrainNetwork(setting, RngKey(), &state);
  Expect(trained.ok() || absl::IsInvalidArgument(trained) || absl::IsDeadlineExceeded(trained),
         "a graph that was taken trains, or says why not");
  (void)portable::EvaluateNetwork(network, header.task, data, {0, 1, 2}, monitor);
}

bool HasLargeWindows(const TrainingGraph& graph) {
  for (const Layer& layer : graph.layers) {
    const bool pools = layer.kind == LayerKind::kMaxPool2d || layer.kind == LayerKind::kAvgPool2d;
    if (pools && std::max(layer.ints[0], layer.ints[1]) > kMostPooled) return true;
  }
  return false;
}

void RunGraph(ByteSpan input) {
  const auto graph = ParseTrainingGraph(input);
  if (!graph.ok()) {
    Expect(absl::IsInvalidArgument(graph.status()) || absl::IsFailedPrecondition(graph.status()),
           "refused with a reason");
    return;
  }
  Expect(SerializeTrainingGraph(*graph) == std::string(AsText(input)),
         "a graph that was taken is written as it was read");
  const BundleHeader header = SmallGraphHeader();
  const auto network = portable::Network::Create(*graph, header);
  ExpectOkOrRefused(network.status());
  if (!network.ok()) return;
  if ((*network)->BytesFor(kExamples, true) > kMemory || HasLargeWindows(*graph)) return;
  TrainOnce(**network, header);
}

// A small number more often than not; sometimes one that no check may let through.
int64_t Number(Rng& rng) {
  const uint64_t kind = rng.UniformInt(8);
  if (kind == 0) return static_cast<int64_t>(rng.NextU64());
  return static_cast<int64_t>(rng.UniformInt(kind < 6 ? 5 : 40)) - (kind == 1 ? 2 : 0);
}

std::string WellFormed(Rng& rng) {
  TrainingGraph graph = MakeSmallGraph().graph;
  const uint64_t changes = rng.UniformInt(4);
  for (uint64_t i = 0; i < changes; ++i) {
    Layer& layer = graph.layers[rng.UniformInt(graph.layers.size())];
    if (rng.UniformInt(3) == 0) {
      const auto kind = static_cast<LayerKind>(1 + rng.UniformInt(23));
      const LayerFields fields = *FieldsOf(kind);
      layer.kind = kind;
      layer.inputs.resize(fields.inputs, layer.inputs[0]);
      layer.tensors.assign(fields.tensors, kNoTensor);
      layer.ints.resize(kind == LayerKind::kReshape ? 1 + rng.UniformInt(4) : fields.ints, 1);
      layer.reals.resize(fields.reals, 0.5);
    }
    for (int64_t& number : layer.ints) number = rng.UniformInt(3) == 0 ? Number(rng) : number;
    for (uint32_t& tensor : layer.tensors) {
      if (rng.UniformInt(4) == 0) tensor = static_cast<uint32_t>(rng.UniformInt(12));
    }
  }
  return SerializeTrainingGraph(graph);
}

}  // namespace

FuzzTarget GraphTarget() { return {"training_graph", RunGraph, WellFormed}; }

}  // namespace fedwatt::fuzz
