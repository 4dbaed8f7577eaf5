#include "common/transport/grpc_status.h"

#include <gtest/gtest.h>

#include <string>

#include "common/transport/retry_after.h"

namespace fedwatt {
namespace {

TEST(GrpcStatus, KeepsEveryCodeAndTheMessage) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "why");
    const grpc::Status wire = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    EXPECT_EQ(FromGrpcStatus(wire), status);
  }
}

TEST(GrpcStatus, CutsMessagesThatTrailersCouldNotCarry) {
  const grpc::Status wire = ToGrpcStatus(absl::InternalError(std::string(100'000, 'x')));
  EXPECT_EQ(wire.error_message().size(), 2048U);
  EXPECT_EQ(wire.error_message().substr(2045), "...");
}

TEST(RetryAfter, TravelsWithTheStatus) {
  const absl::Status status = WithRetryAfter(absl::ResourceExhaustedError("full"), 1500);
  EXPECT_EQ(RetryAfterMs(status), 1500);
  EXPECT_EQ(status.message(), "full");
  EXPECT_EQ(RetryAfterMs(absl::ResourceExhaustedError("full")), std::nullopt);
}

TEST(RetryAfter, OfMoreThanADayOrLessThanNothingIsIgnored) {
  EXPECT_EQ(RetryAfterMs(WithRetryAfter(absl::ResourceExhaustedError("full"), -1)), std::nullopt);
  EXPECT_EQ(RetryAfterMs(WithRetryAfter(absl::ResourceExhaustedError("full"), 86'400'001)),
            std::nullopt);
  EXPECT_EQ(RetryAfterMs(WithRetryAfter(absl::ResourceExhaustedError("full"), 86'400'000)),
            86'400'000);
}

}  // namespace
}  // namespace fedwatt
