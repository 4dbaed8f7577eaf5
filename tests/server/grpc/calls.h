#pragma once

// Requests as a peer without our SDK would write them.

#include <grpcpp/client_context.h>
#include <grpcpp/support/time.h>

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/bytes.h"
#include "common/crypto/sha256.h"
#include "common/transport/authenticator.h"
#include "fedwatt/v1/client_service.grpc.pb.h"

namespace fedwatt {

// Ten seconds, and the name that insecure mode asks for.
inline std::unique_ptr<grpc::ClientContext> NewContext(const std::string& subject = "phone-1",
                                                       const std::string& role = "client") {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(gpr_time_from_millis(10'000, GPR_TIMESPAN));
  context->AddMetadata(kSubjectMetadataKey, subject);
  context->AddMetadata(kRoleMetadataKey, role);
  return context;
}

inline std::string DigestBytes(const std::string& data) {
  const Digest digest = Sha256Of(AsBytes(data));
  return {digest.begin(), digest.end()};
}

inline v1::CheckInRequest CheckInMessage(int64_t max_wait_ms = 5000) {
  v1::CheckInRequest request;
  request.set_protocol_min(1);
  request.set_protocol_max(1);
  request.set_sdk_version("0.1.0");
  request.set_tenant("default");
  request.set_population("default");
  request.set_max_wait_ms(max_wait_ms);
  request.set_role("client");
  return request;
}

inline v1::ReportRequest ReportMessage(const std::string& assignment, const std::string& update) {
  v1::ReportRequest report;
  report.set_assignment_id(assignment);
  report.set_status(v1::REPORT_STATUS_OK);
  report.set_base_sha256(DigestBytes("model"));
  report.set_weight(10);
  report.mutable_update()->set_sha256(DigestBytes(update));
  report.mutable_update()->set_size(update.size());
  return report;
}

inline v1::UploadRequest UploadHeaderMessage(const std::string& assignment,
                                             const std::string& update, uint64_t offset = 0) {
  v1::UploadRequest message;
  *message.mutable_header()->mutable_report() = ReportMessage(assignment, update);
  message.mutable_header()->set_offset(offset);
  return message;
}

inline v1::UploadRequest UploadChunkMessage(uint64_t offset, const std::string& data) {
  v1::UploadRequest message;
  message.mutable_chunk()->set_offset(offset);
  message.mutable_chunk()->set_data(data);
  return message;
}

// Bytes that differ everywhere, so that a shifted or repeated part is noticed.
inline std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint64_t state = 88172645463325252;
  for (char& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state);
  }
  return text;
}

}  // namespace fedwatt
