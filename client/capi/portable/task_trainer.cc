// The trainer without LibTorch as a trainer of an app's: it knows its work through the functions of
// fedwatt.h alone.

#include <algorithm>
#include <memory>

#include "client/capi/struct_check.h"
#include "client/capi/task/task_work.h"
#include "client/trainers/portable/graph_work.h"
#include "common/base/status_macros.h"
#include "fedwatt/portable.h"

namespace fedwatt {
namespace {

using portable::GraphWork;

constexpr uint64_t kDefaultMemoryBytes = uint64_t{1} << 30;

struct Settings {
  uint64_t memory_limit_bytes;
};

absl::Status WriteOutputs(const TaskWork& task, GraphWork& work) {
  for (const UpdateLayout::Piece& piece : work.layout().trainable) {
    auto* const delta = static_cast<float*>(task.parameters[piece.tensor].output);
    FW_RETURN_IF_ERROR(work.Delta(piece, 0, {delta, piece.elements}));
  }
  for (const UpdateLayout::Piece& piece : work.layout().buffers) {
    const ByteSpan bytes = work.TensorBytes(piece.tensor);
    std::copy(bytes.begin(), bytes.end(),
              static_cast<uint8_t*>(task.parameters[piece.tensor].output));
  }
  return absl::OkStatus();
}

int32_t Run(void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
  const uint64_t limit_bytes = static_cast<Settings*>(ctx)->memory_limit_bytes;
  const TaskBody body = [limit_bytes](TaskWork& in, const Clock& clock, WorkMonitor& monitor,
                                      Checkpoints* checkpoints,
                                      UpdateMetrics* metrics) -> absl::Status {
    GraphWork work({in.request, in.header, in.artifact, in.base, *in.dataset,
                    limit_bytes - in.dataset_bytes, clock, monitor, checkpoints});
    FW_RETURN_IF_ERROR(work.Prepare());
    monitor.Alive();
    if (in.request.kind == AssignmentKind::kEvaluate) return work.Evaluate(metrics);
    return work.Train([&] { return WriteOutputs(in, work); }, metrics);
  };
  return RunTask(task, kGraphFormat, limit_bytes, body, result, error);
}

void Destroy(void* ctx) { delete static_cast<Settings*>(ctx); }

}  // namespace
}  // namespace fedwatt

extern "C" int32_t fedwatt_portable_trainer(uint64_t memory_limit_bytes, fedwatt_trainer* trainer,
                                            fedwatt_error* error) {
  static const char* const formats[] = {fedwatt::kGraphFormat};
  fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
  table.name = "portable";
  table.formats = formats;
  table.format_count = 1;
  table.run = fedwatt::Run;
  table.destroy = fedwatt::Destroy;
  try {
    table.ctx = new fedwatt::Settings{memory_limit_bytes == 0 ? fedwatt::kDefaultMemoryBytes
                                                              : memory_limit_bytes};
    const absl::Status given = fedwatt::GiveStruct(table, trainer, "trainer");
    if (!given.ok()) fedwatt::Destroy(table.ctx);
    return fedwatt::GiveError(given, error);
  } catch (...) {
    return fedwatt_fail(error, FEDWATT_RESOURCE_EXHAUSTED, "out of memory");
  }
}
