#pragma once

// proto/fedwatt/v1/client_service.proto <-> common/model/fleet.h (rules: model_wire.h).

#include "absl/status/statusor.h"
#include "common/model/fleet.h"
#include "common/model/ids.h"
#include "fedwatt/v1/client_service.pb.h"

namespace fedwatt::wire {

void ToProto(const RoundKey& key, v1::RoundKey* out);
absl::StatusOr<RoundKey> FromProto(const v1::RoundKey& in);

void ToProto(const Capabilities& capabilities, v1::Capabilities* out);
absl::StatusOr<Capabilities> FromProto(const v1::Capabilities& in);

void ToProto(const Holding& holding, v1::Holding* out);
absl::StatusOr<Holding> FromProto(const v1::Holding& in);

void ToProto(const CheckInRequest& request, v1::CheckInRequest* out);
absl::StatusOr<CheckInRequest> FromProto(const v1::CheckInRequest& in);

void ToProto(const Assignment& assignment, v1::Assignment* out);
absl::StatusOr<Assignment> FromProto(const v1::Assignment& in);

void ToProto(const Rejection& rejection, v1::Rejection* out);
absl::StatusOr<Rejection> FromProto(const v1::Rejection& in);

void ToProto(const OutcomeNotice& notice, v1::OutcomeNotice* out);
absl::StatusOr<OutcomeNotice> FromProto(const v1::OutcomeNotice& in);

void ToProto(const CheckInResponse& response, v1::CheckInResponse* out);
absl::StatusOr<CheckInResponse> FromProto(const v1::CheckInResponse& in);

void ToProto(const LossSums& sums, v1::LossSums* out);
absl::StatusOr<LossSums> FromProto(const v1::LossSums& in);

// Every figure finite, every sum of squares and every duration at least 0.
void ToProto(const UpdateMetrics& metrics, v1::UpdateMetrics* out);
absl::StatusOr<UpdateMetrics> FromProto(const v1::UpdateMetrics& in);

// Energy samples cannot make a report fail (energy_wire.h), only more than kMaxEnergySamples can.
void ToProto(const Report& report, v1::ReportRequest* out);
absl::StatusOr<Report> FromProto(const v1::ReportRequest& in);

void ToProto(const ReportReply& reply, v1::ReportResponse* out);
absl::StatusOr<ReportReply> FromProto(const v1::ReportResponse& in);

void ToProto(const UploadOffset& offset, v1::UploadStatusResponse* out);
absl::StatusOr<UploadOffset> FromProto(const v1::UploadStatusResponse& in);

}  // namespace fedwatt::wire
