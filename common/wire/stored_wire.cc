#include "common/wire/stored_wire.h"

#include "common/wire/client_wire.h"

namespace fedwatt::wire {
namespace {

template <typename Message, typename Value>
std::string ToBytes(const Value& value) {
  Message message;
  ToProto(value, &message);
  return message.SerializeAsString();
}

template <typename Value, typename Message>
absl::StatusOr<Value> FromBytes(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return absl::DataLossError("the stored message cannot be parsed");
  }
  return FromProto(message);
}

}  // namespace

std::string AssignmentToBytes(const Assignment& assignment) {
  return ToBytes<v1::Assignment>(assignment);
}

absl::StatusOr<Assignment> AssignmentFromBytes(const std::string& bytes) {
  return FromBytes<Assignment, v1::Assignment>(bytes);
}

std::string ReportToBytes(const Report& report) { return ToBytes<v1::ReportRequest>(report); }

absl::StatusOr<Report> ReportFromBytes(const std::string& bytes) {
  return FromBytes<Report, v1::ReportRequest>(bytes);
}

}  // namespace fedwatt::wire
