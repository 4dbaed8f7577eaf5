#include "client/sdk/grpc_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "common/base/bounds.h"
#include "common/transport/retry_after.h"
#include "tests/client/sdk_grpc/waiting_transport.h"
#include "tests/common/transport/test_pki.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr uint64_t kModelBytes = 10'000'000;

Report ReportFor(const std::string& update) {
  Report report;
  report.assignment_id = "job/r1/a1/0";
  report.base_sha256 = Sha256Of(AsBytes("model"));
  report.weight = 10;
  report.update.size = update.size();
  report.update.sha256 = Sha256Of(AsBytes(update));
  return report;
}

// Every test runs plain and over mutual TLS.
class GrpcTransport : public testing::TestWithParam<bool> {
 protected:
  static TestServerOptions ServerOptions(TestPki& pki, bool tls) {
    TestServerOptions options;
    if (tls) options.tls = pki.Issue("coordinator", "coordinator");
    return options;
  }
  GrpcTransport() : server_(ServerOptions(pki_, GetParam())), transport_(ClientOptions()) {}

  GrpcTransportOptions ClientOptions() {
    GrpcTransportOptions options;
    options.address = server_.address();
    if (GetParam()) {
      options.tls = pki_.Issue("client", "phone-1");
    } else {
      options.subject = "phone-1";
    }
    return options;
  }
  std::string Write(const std::string& name, const std::string& data) {
    EXPECT_TRUE(WriteFileAtomic(dir_.File(name), data).ok());
    return dir_.File(name);
  }
  std::string Read(const std::string& path) { return ReadFile(path, 1 << 30).value(); }
  Digest Publish(const std::string& data) {
    const Digest sha256 = Sha256Of(AsBytes(data));
    server_.coordinator().AddBlob(sha256, Write("blob", data));
    return sha256;
  }

  TempDir dir_;
  TestPki pki_;
  TestServer server_;
  WaitingTransport transport_;
};

INSTANTIATE_TEST_SUITE_P(, GrpcTransport, testing::Bool(),
                         [](const auto& info) { return info.param ? "MutualTls" : "Plain"; });

TEST_P(GrpcTransport, ChecksIn) {
  CheckInResponse response;
  response.rejection = Rejection{"no work", 1500};
  server_.coordinator().AnswerCheckIns(response);
  const absl::StatusOr<CheckInResponse> answer = transport_.CheckIn();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->rejection->reason, "no work");
  EXPECT_EQ(server_.coordinator().callers().at(0).subject, "phone-1");
}

TEST_P(GrpcTransport, Downloads) {
  const std::string model = Pattern(kModelBytes);
  const Digest sha256 = Publish(model);
  const auto result = transport_.Download(sha256, 0, dir_.File("model"));
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.received, model.size());
  EXPECT_EQ(result.total, model.size());
  EXPECT_TRUE(Read(dir_.File("model")) == model);
}

TEST_P(GrpcTransport, ADownloadCutAt90PercentCostsNoMoreThanTheRest) {
  const std::string model = Pattern(kModelBytes);
  const Digest sha256 = Publish(model);
  const uint64_t held = kModelBytes / 10 * 9;
  const std::string path = Write("model", model.substr(0, held));
  const auto result = transport_.Download(sha256, held, path);
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(held + result.received, kModelBytes);
  EXPECT_TRUE(Read(path) == model);
}

TEST_P(GrpcTransport, ADownloadThatIsCompleteMovesNothing) {
  const std::string model = Pattern(1000);
  const Digest sha256 = Publish(model);
  const auto result = transport_.Download(sha256, 1000, Write("model", model));
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.received, 0U);
  EXPECT_EQ(result.total, 1000U);
}

TEST_P(GrpcTransport, ADownloadIntoAFileOfAnotherLengthIsRefused) {
  const auto result = transport_.Download(Publish(Pattern(1000)), 10, Write("model", "123"));
  EXPECT_EQ(result.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("holds 3 bytes"));
}

TEST_P(GrpcTransport, AFullDiskEndsADownload) {
  const Digest sha256 = Publish(Pattern(kModelBytes));
  const std::string target = dir_.File("target");
  SetWriteFaultForTest(
      [&](const std::string& path, uint64_t) { return path == target ? ENOSPC : 0; });
  const auto result = transport_.Download(sha256, 0, target);
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted) << result.status;
  EXPECT_THAT(std::string(result.status.message()), HasSubstr(target));
}

TEST_P(GrpcTransport, Uploads) {
  const std::string update = Pattern(kModelBytes);
  const auto result = transport_.Upload(ReportFor(update), 0, Write("update", update));
  ASSERT_TRUE(result.reply.ok()) << result.reply.status();
  EXPECT_TRUE(result.reply->accepted);
  EXPECT_EQ(result.sent, update.size());
  EXPECT_TRUE(server_.coordinator().Uploaded("job/r1/a1/0") == update);
}

TEST_P(GrpcTransport, AnUploadCutAt90PercentSendsAtMost115PercentInAll) {
  const std::string update = Pattern(kModelBytes);
  const std::string path = Write("update", update);
  const Report report = ReportFor(update);
  server_.coordinator().OnAppend([](uint64_t offset) {
    return offset >= kModelBytes / 10 * 9 ? absl::UnavailableError("the coordinator was killed")
                                          : absl::OkStatus();
  });
  const auto cut = transport_.Upload(report, 0, path);
  EXPECT_EQ(cut.reply.status().code(), absl::StatusCode::kUnavailable) << cut.reply.status();
  server_.coordinator().OnAppend(nullptr);

  const absl::StatusOr<UploadOffset> held = transport_.UploadStatus(report);
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_GE(held->offset, kModelBytes / 10 * 9);
  const auto rest = transport_.Upload(report, held->offset, path);
  ASSERT_TRUE(rest.reply.ok()) << rest.reply.status();
  EXPECT_LE(static_cast<double>(cut.sent + rest.sent), 1.15 * kModelBytes);
  EXPECT_TRUE(server_.coordinator().Uploaded("job/r1/a1/0") == update);
}

TEST_P(GrpcTransport, AnUploadWhoseAnswerWasLostSendsOnlyTheReportAgain) {
  const std::string update = Pattern(1000);
  const std::string path = Write("update", update);
  ASSERT_TRUE(transport_.Upload(ReportFor(update), 0, path).reply.ok());
  const auto again = transport_.Upload(ReportFor(update), 1000, path);
  ASSERT_TRUE(again.reply.ok()) << again.reply.status();
  EXPECT_EQ(again.sent, 0U);
}

TEST_P(GrpcTransport, ARefusedUploadStopsSending) {
  server_.coordinator().RefuseUploads(
      {.accepted = false, .outcome = Outcome::kRefused, .reason = "late"});
  const std::string update = Pattern(kModelBytes);
  const auto result = transport_.Upload(ReportFor(update), 0, Write("update", update));
  ASSERT_TRUE(result.reply.ok()) << result.reply.status();
  EXPECT_EQ(result.reply->outcome, Outcome::kRefused);
  EXPECT_EQ(result.reply->reason, "late");
  EXPECT_LT(result.sent, update.size());
}

TEST_P(GrpcTransport, AnUpdateFileThatIsTooShortIsNotSent) {
  const auto result = transport_.Upload(ReportFor(Pattern(1000)), 0, Write("update", "short"));
  EXPECT_EQ(result.reply.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(result.sent, 0U);
}

TEST_P(GrpcTransport, Reports) {
  Report report = ReportFor("tiny");
  report.update.inline_data = "tiny";
  const absl::StatusOr<ReportReply> reply = transport_.SubmitReport(report);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->accepted);
  EXPECT_EQ(server_.coordinator().Uploaded("job/r1/a1/0"), "tiny");
}

TEST_P(GrpcTransport, CancelAllEndsWhatIsUnderWay) {
  Arrival<absl::StatusOr<CheckInResponse>> arrival;
  CheckInRequest request;
  request.max_wait_ms = 5000;
  transport_->CheckIn(request, [&](auto answer) { arrival.Put(std::move(answer)); });
  server_.coordinator().WaitForWaiting(1);
  transport_->CancelAll();
  const absl::StatusOr<CheckInResponse> answer = arrival.Take();
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled);
  server_.coordinator().WaitForWaiting(0);
}

TEST_P(GrpcTransport, DestructionEndsWhatIsUnderWay) {
  Arrival<absl::StatusOr<CheckInResponse>> arrival;
  {
    WaitingTransport other(ClientOptions());
    CheckInRequest request;
    request.max_wait_ms = 5000;
    other->CheckIn(request, [&](auto answer) { arrival.Put(std::move(answer)); });
    server_.coordinator().WaitForWaiting(1);
  }
  EXPECT_EQ(arrival.Take().status().code(), absl::StatusCode::kCancelled);
}

TEST_P(GrpcTransport, WorksAgainAfterSleep) {
  CheckInResponse response;
  response.rejection = Rejection{"no work", 1500};
  server_.coordinator().AnswerCheckIns(response);
  ASSERT_TRUE(transport_.CheckIn().ok());
  transport_->Sleep();
  EXPECT_TRUE(transport_.CheckIn().ok());
}

TEST_P(GrpcTransport, ACoordinatorThatStopsIsUnavailableNotCancelled) {
  Arrival<absl::StatusOr<CheckInResponse>> arrival;
  CheckInRequest request;
  request.max_wait_ms = 5000;
  transport_->CheckIn(request, [&](auto answer) { arrival.Put(std::move(answer)); });
  server_.coordinator().WaitForWaiting(1);
  server_.server().Shutdown(50);
  EXPECT_EQ(arrival.Take().status().code(), absl::StatusCode::kUnavailable);
}

TEST_P(GrpcTransport, BringsTheRetryTimeOfAFullCoordinator) {
  TestServerOptions options = ServerOptions(pki_, GetParam());
  options.inflight_bytes = 1000;
  options.upload_wait_ms = 50;
  TestServer full(options);
  ASSERT_EQ(full.budget().Reserve(1000, [] {}), 0U);
  GrpcTransportOptions client = ClientOptions();
  client.address = full.address();
  WaitingTransport transport(client);
  const std::string update = Pattern(1000);
  const auto result = transport.Upload(ReportFor(update), 0, Write("update", update));
  EXPECT_EQ(result.reply.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfterMs(result.reply.status()), 50);
}

}  // namespace
}  // namespace fedwatt
