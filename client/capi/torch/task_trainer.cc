// LibTorch as a trainer of an app's, in the app's own process: it knows its work through the
// functions of fedwatt.h alone.

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/capi/struct_check.h"
#include "client/capi/task/task_work.h"
#include "client/trainers/torch/torch_work.h"
#include "common/base/status_macros.h"
#include "fedwatt/torch_in_process.h"

namespace fedwatt {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// LibTorch's generators are the process's: two trainers at once would draw each other's numbers.
std::atomic<bool>& InUse() {
  static std::atomic<bool> in_use{false};
  return in_use;
}

// Owns the process's place.
class Place {
 public:
  explicit Place(const std::string& device) : work_(device, {}) {}
  ~Place() { InUse() = false; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  TorchWork& work() { return work_; }

 private:
  TorchWork work_;
};

absl::Status WriteOutputs(const TaskWork& task, const TorchWork& work) {
  for (const UpdateLayout::Piece& piece : work.layout().trainable) {
    auto* const delta = static_cast<float*>(task.parameters[piece.tensor].output);
    FW_RETURN_IF_ERROR(work.Delta(piece, {delta, piece.elements}));
  }
  for (const UpdateLayout::Piece& piece : work.layout().buffers) {
    work.CopyTensor(piece.tensor, static_cast<uint8_t*>(task.parameters[piece.tensor].output));
  }
  return absl::OkStatus();
}

int32_t Run(void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
  TorchWork& work = static_cast<Place*>(ctx)->work();
  const TaskBody body = [&work](TaskWork& in, const Clock& clock, WorkMonitor& monitor,
                                Checkpoints* checkpoints, UpdateMetrics* metrics) -> absl::Status {
    FW_RETURN_IF_ERROR(work.Prepare(
        {in.request, in.header, in.artifact, in.base, *in.dataset, clock, monitor, checkpoints}));
    monitor.Alive();
    if (in.request.kind == AssignmentKind::kEvaluate) return work.Evaluate(metrics);
    return work.Train([&] { return WriteOutputs(in, work); }, metrics);
  };
  const int32_t code = RunTask(task, kTorchScriptFormat, kNoLimit, body, result, error);
  work.Forget();
  return code;
}

void Destroy(void* ctx) { delete static_cast<Place*>(ctx); }

absl::Status CheckDevice(const std::string& device) {
  if (device == "auto" || device == "cpu" || device == "cuda") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("device is \"", device, "\"; it must be auto, cpu or cuda"));
}

absl::Status MakeTable(const char* device, fedwatt_trainer* trainer) {
  static const char* const formats[] = {kTorchScriptFormat};
  const std::string name = device == nullptr ? "auto" : device;
  FW_RETURN_IF_ERROR(CheckDevice(name));
  FW_RETURN_IF_ERROR(TakeStruct(trainer, "trainer").status());
  if (InUse().exchange(true)) {
    return absl::FailedPreconditionError(
        "this process has a trainer with LibTorch already, and LibTorch's random numbers are the "
        "process's; close the client that has it first, or set options.torch_program");
  }
  fedwatt_trainer table = FEDWATT_INIT(fedwatt_trainer);
  table.name = "torch";
  table.formats = formats;
  table.format_count = 1;
  table.run = Run;
  table.destroy = Destroy;
  try {
    table.ctx = new Place(name);
  } catch (...) {
    InUse() = false;
    throw;
  }
  return GiveStruct(table, trainer, "trainer");
}

}  // namespace
}  // namespace fedwatt

extern "C" int32_t fedwatt_torch_in_process_trainer(const char* device, fedwatt_trainer* trainer,
                                                    fedwatt_error* error) {
  try {
    return fedwatt::GiveError(fedwatt::MakeTable(device, trainer), error);
  } catch (const std::bad_alloc&) {
    return fedwatt_fail(error, FEDWATT_RESOURCE_EXHAUSTED, "out of memory");
  } catch (...) {
    return fedwatt_fail(error, FEDWATT_INTERNAL, "LibTorch cannot start in this process");
  }
}
