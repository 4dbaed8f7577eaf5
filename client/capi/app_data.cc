#include "client/capi/app_data.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/capi/host_loop.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

uint64_t Elements(const std::vector<int64_t>& shape, size_t from) {
  uint64_t elements = 1;
  for (size_t i = from; i < shape.size(); ++i) elements *= static_cast<uint64_t>(shape[i]);
  return elements;
}

absl::Status CheckExamples(const fedwatt_batch& batch, uint64_t max_examples,
                           const ExampleShape& expected, const std::string& who) {
  if (batch.examples == 0 || batch.examples > max_examples) {
    return absl::InvalidArgumentError(absl::StrCat(who, ": the batch has ", batch.examples,
                                                   " examples, asked for were 1 to ", max_examples,
                                                   "; return FEDWATT_END after the last"));
  }
  const auto examples = static_cast<int64_t>(batch.examples);
  FW_ASSIGN_OR_RETURN(const CheckedTensor x, CheckTensor(batch.x, who + ": x"));
  FW_ASSIGN_OR_RETURN(const CheckedTensor y, CheckTensor(batch.y, who + ": y"));
  for (const CheckedTensor* tensor : {&x, &y}) {
    if (!tensor->shape.empty() && tensor->shape[0] == examples) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(who, ": ", tensor == &x ? "x" : "y", " has shape ", ShapeText(tensor->shape),
                     "; its first dimension must be the ", examples, " examples of the batch"));
  }
  if (x.dtype != expected.dtype || Elements(x.shape, 1) != Elements(expected.shape, 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        who, ": x is ", DTypeName(x.dtype), " ", ShapeText(x.shape), ", the model takes ",
        DTypeName(expected.dtype), " of [n,", absl::StrJoin(expected.shape, ","), "]"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckedTensor> CheckTensor(const fedwatt_tensor& tensor, const std::string& what) {
  if (tensor.dtype < FEDWATT_F32 || tensor.dtype > FEDWATT_BOOL) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", tensor.dtype, " is no dtype"));
  }
  if (tensor.dims > FEDWATT_MAX_DIMS) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", tensor.dims, " dimensions; at most ", FEDWATT_MAX_DIMS));
  }
  CheckedTensor checked;
  checked.dtype = static_cast<DType>(tensor.dtype);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < tensor.dims; ++i) {
    const int64_t size = tensor.shape[i];
    if (size < 0 || (size > 0 && elements > bounds::kMaxElements / static_cast<uint64_t>(size))) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": dimension ", i, " is ", size,
                                                     "; not below 0, and at most ",
                                                     bounds::kMaxElements, " elements in all"));
    }
    checked.shape.push_back(size);
    elements *= static_cast<uint64_t>(size);
  }
  checked.bytes = elements * DTypeBytes(checked.dtype);
  checked.data = static_cast<const uint8_t*>(tensor.data);
  if (checked.bytes > 0 && checked.data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": data is NULL"));
  }
  return checked;
}

absl::StatusOr<fedwatt_data_source> AppData::Check(const fedwatt_data_source* source) {
  FW_ASSIGN_OR_RETURN(const fedwatt_data_source table, TakeStruct(source, "options.data"));
  if (table.rewind == nullptr || table.next == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("options.data: ", table.rewind == nullptr ? "rewind" : "next",
                     " is NULL; a data source needs rewind and next"));
  }
  return table;
}

absl::Status AppData::Rewind(const std::string& dataset, Activity* activity) {
  const std::string who = absl::StrCat("the data source's rewind(", dataset, ")");
  activity->Enter("the data source's rewind", call_limit_ms_);
  absl::Status status;
  try {
    status = CallApp(who, [&](fedwatt_error* error) {
      return source_->table().rewind(source_->ctx(), dataset.c_str(), error);
    });
  } catch (...) {
    status = ExceptionStatus(who.c_str());
  }
  activity->Leave();
  return status;
}

absl::StatusOr<fedwatt_batch> AppData::Next(const std::string& dataset, uint64_t max_examples,
                                            const ExampleShape& expected, Activity* activity) {
  const std::string who = absl::StrCat("the data source's next(", dataset, ")");
  fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
  activity->Enter("the data source's next", call_limit_ms_);
  absl::Status status;
  try {
    status = CallApp(who, [&](fedwatt_error* error) {
      return source_->table().next(source_->ctx(), dataset.c_str(), max_examples, &batch, error);
    });
  } catch (...) {
    status = ExceptionStatus(who.c_str());
  }
  activity->Leave();
  FW_RETURN_IF_ERROR(status);
  FW_RETURN_IF_ERROR(CheckExamples(batch, max_examples, expected, who));
  return batch;
}

}  // namespace fedwatt
