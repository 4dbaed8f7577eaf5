#pragma once

// Errors of the C++ interface: values, never exceptions.

#include <fedwatt/fedwatt.h>

#include <optional>
#include <string>
#include <utility>

namespace fedwatt {

// The numbers are those of gRPC and of fedwatt_code.
enum class Code {
  kOk = FEDWATT_OK,
  kCancelled = FEDWATT_CANCELLED,
  kUnknown = FEDWATT_UNKNOWN,
  kInvalidArgument = FEDWATT_INVALID_ARGUMENT,
  kDeadlineExceeded = FEDWATT_DEADLINE_EXCEEDED,
  kNotFound = FEDWATT_NOT_FOUND,
  kPermissionDenied = FEDWATT_PERMISSION_DENIED,
  kResourceExhausted = FEDWATT_RESOURCE_EXHAUSTED,
  kFailedPrecondition = FEDWATT_FAILED_PRECONDITION,
  kEnd = FEDWATT_END,  // of a data set: no more examples in this pass
  kUnimplemented = FEDWATT_UNIMPLEMENTED,
  kInternal = FEDWATT_INTERNAL,
  kUnavailable = FEDWATT_UNAVAILABLE,
  kDataLoss = FEDWATT_DATA_LOSS,
  kUnauthenticated = FEDWATT_UNAUTHENTICATED,
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "NOT_FOUND: the message", or "OK".
  std::string ToString() const {
    const std::string name = fedwatt_code_name(static_cast<int32_t>(code_));
    return message_.empty() ? name : name + ": " + message_;
  }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit on purpose
  Result(Status status) : status_(std::move(status)) {  // NOLINT: likewise
    if (status_.ok()) status_ = Status(Code::kInternal, "an OK status without a value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Only if ok().
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace fedwatt
