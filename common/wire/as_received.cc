#include "common/wire/as_received.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/wire/client_wire.h"

namespace fedwatt::wire {
namespace {

// `moved`: bytes that are not in the message, since they would only be copied there and back.
template <typename Message, typename Value>
absl::StatusOr<Received<Value>> Convert(const Value& value, uint64_t moved) {
  Message message;
  ToProto(value, &message);
  const uint64_t bytes = message.ByteSizeLong() + moved;
  if (bytes > bounds::kMaxMessageBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a message of ", bytes, " bytes; the limit is ", bounds::kMaxMessageBytes));
  }
  FW_ASSIGN_OR_RETURN(Value received, FromProto(message));
  return Received<Value>{std::move(received), bytes};
}

}  // namespace

absl::StatusOr<Received<CheckInRequest>> AsReceived(const CheckInRequest& request) {
  return Convert<v1::CheckInRequest>(request, 0);
}

absl::StatusOr<Received<CheckInResponse>> AsReceived(CheckInResponse response) {
  return Convert<v1::CheckInResponse>(response, 0);
}

absl::StatusOr<Received<Report>> AsReceived(Report report) {
  // As the service takes it (client_service.cc): the coordinator compares the hash.
  const std::string bytes = std::exchange(report.update.inline_data, std::string());
  if (bytes.size() > bounds::kMaxInlineBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a report with ", bytes.size(), " bytes of update.inline_data; the limit is ",
                     bounds::kMaxInlineBytes, ": call Upload to send more"));
  }
  FW_ASSIGN_OR_RETURN(Received<Report> received, Convert<v1::ReportRequest>(report, bytes.size()));
  received.value.update.inline_data = bytes;
  return received;
}

absl::StatusOr<Received<ReportReply>> AsReceived(const ReportReply& reply) {
  return Convert<v1::ReportResponse>(reply, 0);
}

}  // namespace fedwatt::wire
