#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/capi/app_trainer.h"
#include "client/capi/host_loop.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kBatch = 256;
// What a .npy file's header takes here, padding included: written last, when the number of
// examples is known.
constexpr size_t kHeaderBytes = 192;

// NumPy's name of a dtype, or "".
std::string NpyName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "<f4";
    case DType::kF64:
      return "<f8";
    case DType::kF16:
      return "<f2";
    case DType::kI64:
      return "<i8";
    case DType::kI32:
      return "<i4";
    case DType::kI16:
      return "<i2";
    case DType::kI8:
      return "|i1";
    case DType::kU8:
      return "|u1";
    case DType::kBool:
      return "|b1";
    case DType::kBF16:
      return "";
  }
  return "";
}

// A .npy file in memory, to which examples are appended. The trainer's process opens it by this
// process's number and the descriptor's.
class NpyMemory {
 public:
  explicit NpyMemory(const char* name) : name_(name) {}
  ~NpyMemory() {
    if (fd_ >= 0) close(fd_);
  }
  NpyMemory(const NpyMemory&) = delete;
  NpyMemory& operator=(const NpyMemory&) = delete;

  absl::Status Append(const CheckedTensor& tensor) {
    if (fd_ < 0) FW_RETURN_IF_ERROR(Open(tensor));
    const std::vector<int64_t> shape(tensor.shape.begin() + 1, tensor.shape.end());
    if (shape != shape_ || tensor.dtype != dtype_) {
      return absl::InvalidArgumentError(
          absl::StrCat("the data source's ", name_, " changes from ", DTypeName(dtype_), " [n,",
                       absl::StrJoin(shape_, ","), "] to ", DTypeName(tensor.dtype), " [n,",
                       absl::StrJoin(shape, ","), "] between two batches"));
    }
    examples_ += tensor.shape[0];
    return file_.Append({tensor.data, tensor.bytes});
  }

  absl::Status Finish() {
    std::string header =
        absl::StrCat("{'descr': '", NpyName(dtype_), "', 'fortran_order': False, 'shape': (",
                     examples_, ",", absl::StrJoin(shape_, ","), "), }");
    header.resize(kHeaderBytes - 10, ' ');
    header.back() = '\n';
    std::string start("\x93NUMPY\x01\x00", 8);
    start.push_back(static_cast<char>(header.size()));
    start.push_back(0);
    FW_RETURN_IF_ERROR(file_.WriteAt(0, AsBytes(start + header)));
    return file_.Close();
  }

  uint64_t bytes() const { return fd_ < 0 ? 0 : file_.size(); }
  int64_t examples() const { return examples_; }
  int fd() const { return fd_; }

 private:
  absl::Status Open(const CheckedTensor& tensor) {
    dtype_ = tensor.dtype;
    shape_.assign(tensor.shape.begin() + 1, tensor.shape.end());
    if (NpyName(dtype_).empty()) {
      return absl::InvalidArgumentError(absl::StrCat("the data source's ", name_, " is ",
                                                     DTypeName(dtype_), "; give float32 instead"));
    }
    fd_ = memfd_create("fedwatt-examples", MFD_CLOEXEC);
    if (fd_ < 0) {
      return absl::InternalError(absl::StrCat("no memory file: ", std::strerror(errno)));
    }
    FW_ASSIGN_OR_RETURN(file_, FileWriter::Open(absl::StrCat("/proc/self/fd/", fd_)));
    return file_.Truncate(kHeaderBytes);
  }

  const char* const name_;
  int fd_ = -1;
  FileWriter file_;
  DType dtype_ = DType::kF32;
  std::vector<int64_t> shape_;
  int64_t examples_ = 0;
};

// One pass over a data set.
struct Examples {
  explicit Examples(const Clock* clock) : activity(clock) {}

  Activity activity;
  std::atomic<bool> cancelled{false};
  NpyMemory x{"x"};
  NpyMemory y{"y"};
  absl::Status status;
};

class TorchFeedTrainer final : public Trainer {
 public:
  TorchFeedTrainer(const WorkerTrainerOptions& options, AppTrainerDeps deps)
      : limit_bytes_(options.memory_limit_bytes),
        deps_(std::move(deps)),
        worker_(options, deps_.clock) {}

  std::string name() const override { return worker_.name(); }
  std::vector<std::string> artifact_formats() const override { return worker_.artifact_formats(); }
  int64_t ChildCpuTimeUs() const override { return worker_.ChildCpuTimeUs(); }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override try {
    FW_ASSIGN_OR_RETURN(const std::shared_ptr<Examples> examples, Collect(request, cancel));
    TrainRequest fed = request;
    fed.dataset.format = "npy";
    fed.dataset.path = absl::StrCat("/proc/", getpid(), "/fd");
    fed.dataset.options = {{"x", absl::StrCat(examples->x.fd())},
                           {"y", absl::StrCat(examples->y.fd())}};
    return worker_.Run(fed, cancel, progress);
  } catch (...) {
    return ExceptionStatus("the client's training");
  }

 private:
  absl::StatusOr<std::shared_ptr<Examples>> Collect(const TrainRequest& request,
                                                    const std::atomic<bool>& cancel) {
    const BundleHeader& header = request.bundle->header();
    const ExampleShape expected{header.input_shape, header.input_dtype};
    const auto examples = std::make_shared<Examples>(deps_.clock);
    const absl::Status waited = deps_.thread->Run(
        [examples, expected, data = deps_.data, dataset = request.dataset.name,
         limit = limit_bytes_] {
          examples->status = ReadAll(dataset, expected, limit, data.get(), examples.get());
        },
        [&]() -> absl::Status {
          if (*deps_.give_up) return absl::CancelledError("the client was closed");
          if (!cancel) return examples->activity.Check();
          examples->cancelled = true;
          return examples->activity.CheckCancelled();
        });
    FW_RETURN_IF_ERROR(waited);
    FW_RETURN_IF_ERROR(examples->status);
    return examples;
  }

  // On the callback thread.
  static absl::Status ReadAll(const std::string& dataset, const ExampleShape& expected,
                              uint64_t limit_bytes, AppData* data, Examples* examples) {
    FW_RETURN_IF_ERROR(data->Rewind(dataset, &examples->activity));
    while (true) {
      if (examples->cancelled) return absl::CancelledError("cancelled while reading the data");
      const absl::StatusOr<fedwatt_batch> batch =
          data->Next(dataset, kBatch, expected, &examples->activity);
      if (absl::IsOutOfRange(batch.status())) break;
      FW_RETURN_IF_ERROR(batch.status());
      FW_ASSIGN_OR_RETURN(const CheckedTensor x, CheckTensor(batch->x, "x"));
      FW_ASSIGN_OR_RETURN(const CheckedTensor y, CheckTensor(batch->y, "y"));
      FW_RETURN_IF_ERROR(examples->x.Append(x));
      FW_RETURN_IF_ERROR(examples->y.Append(y));
      const uint64_t bytes = examples->x.bytes() + examples->y.bytes();
      if (bytes <= limit_bytes) continue;
      return absl::ResourceExhaustedError(
          absl::StrCat("the data set ", dataset, " has more than ", limit_bytes,
                       " bytes, which is what the trainer's process may use; offer fewer examples "
                       "or raise trainer_memory_bytes"));
    }
    if (examples->x.examples() == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("the data source gave no examples of ", dataset));
    }
    FW_RETURN_IF_ERROR(examples->x.Finish());
    return examples->y.Finish();
  }

  const uint64_t limit_bytes_;
  const AppTrainerDeps deps_;
  WorkerTrainer worker_;
};

}  // namespace

std::unique_ptr<Trainer> MakeTorchFeedTrainer(const TorchFeedOptions& options,
                                              AppTrainerDeps deps) {
  WorkerTrainerOptions worker;
  worker.program = options.program;
  if (options.memory_limit_bytes > 0) worker.memory_limit_bytes = options.memory_limit_bytes;
  return std::make_unique<TorchFeedTrainer>(worker, std::move(deps));
}

}  // namespace fedwatt
