#include "common/wire/as_received.h"

#include <gmock/gmock.h>

#include "common/base/bounds.h"

namespace fedwatt::wire {
namespace {

using ::testing::HasSubstr;

Report SmallReport(const std::string& update) {
  Report report;
  report.assignment_id = "job/r1/a1/0";
  report.update.inline_data = update;
  report.update.size = update.size();
  report.update.sha256 = Sha256Of(AsBytes(update));
  return report;
}

TEST(AsReceived, AReportArrivesWithItsUpdateAndItsSize) {
  const auto received = AsReceived(SmallReport("an update"));
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->value.assignment_id, "job/r1/a1/0");
  EXPECT_EQ(received->value.update.inline_data, "an update");
  EXPECT_GT(received->bytes, 9U);
}

// As over gRPC, whose service says so (client_service.cc).
TEST(AsReceived, AnUpdateThatIsTooLargeToTravelInlineIsRefused) {
  const auto received = AsReceived(SmallReport(std::string(bounds::kMaxInlineBytes + 1, 'x')));
  EXPECT_THAT(std::string(received.status().message()), HasSubstr("call Upload"));
}

TEST(AsReceived, TheReceiversBoundsHold) {
  Report report = SmallReport("an update");
  report.assignment_id = std::string(bounds::kMaxIdLength + 1, 'a');
  EXPECT_EQ(AsReceived(report).status().code(), absl::StatusCode::kInvalidArgument);
  CheckInRequest request;
  request.max_wait_ms = -1;
  EXPECT_FALSE(AsReceived(request).ok());
}

TEST(AsReceived, AModelInlineHasToHaveItsHash) {
  CheckInResponse response;
  Assignment& assignment = response.assignment.emplace();
  assignment.model.inline_data = "a model";
  assignment.model.size = 7;
  EXPECT_FALSE(AsReceived(response).ok());
}

}  // namespace
}  // namespace fedwatt::wire
