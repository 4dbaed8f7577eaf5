#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/capi/app_object.h"
#include "client/capi/callback_thread.h"
#include "common/model/manifest.h"

namespace fedwatt {

// What one example has to look like: the model's input.
struct ExampleShape {
  std::vector<int64_t> shape;
  DType dtype = DType::kF32;
};

// Of a tensor of the app's, with every size checked.
struct CheckedTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  uint64_t bytes = 0;
};

// `what` names the tensor. INVALID_ARGUMENT: no such dtype, too many dimensions, a negative or huge
// one, no data.
absl::StatusOr<CheckedTensor> CheckTensor(const fedwatt_tensor& tensor, const std::string& what);

// An app's data source as its callers may believe it. One thread at a time.
class AppData {
 public:
  AppData(std::shared_ptr<AppObject<fedwatt_data_source>> source, int64_t call_limit_ms)
      : source_(std::move(source)), call_limit_ms_(call_limit_ms) {}

  // `activity` is told where the thread is.
  absl::Status Rewind(const std::string& dataset, Activity* activity);

  // The next examples, 1 to `max_examples`; OUT_OF_RANGE after the last. INVALID_ARGUMENT: what
  // came is no batch, or examples do not look like `expected`.
  absl::StatusOr<fedwatt_batch> Next(const std::string& dataset, uint64_t max_examples,
                                     const ExampleShape& expected, Activity* activity);

  // INVALID_ARGUMENT names what is missing.
  static absl::StatusOr<fedwatt_data_source> Check(const fedwatt_data_source* source);

 private:
  const std::shared_ptr<AppObject<fedwatt_data_source>> source_;
  const int64_t call_limit_ms_;
};

}  // namespace fedwatt
