#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/common/transport/test_pki.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

TEST(Shutdown, AnswersWaitingCheckInsAndReturnsInTime) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  std::vector<grpc::Status> statuses(5);
  std::vector<std::thread> callers;
  callers.reserve(statuses.size());
  for (grpc::Status& status : statuses) {
    callers.emplace_back([&stub, &status] {
      v1::CheckInResponse response;
      status = stub->CheckIn(NewContext().get(), CheckInMessage(), &response);
    });
  }
  server.coordinator().WaitForWaiting(5);

  const SystemClock clock;
  const int64_t before_us = clock.MonotonicUs();
  server.coordinator().Shutdown();
  server.server().Shutdown(1000);
  EXPECT_LT(clock.MonotonicUs() - before_us, 2'000'000);
  for (std::thread& caller : callers) caller.join();
  for (const grpc::Status& status : statuses) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
  }
}

TEST(Shutdown, CutsAnUploadThatDoesNotEnd) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const auto context = NewContext();
  v1::ReportResponse response;
  const auto writer = stub->Upload(context.get(), &response);
  ASSERT_TRUE(writer->Write(UploadHeaderMessage("job/r1/a1/0", Pattern(100))));
  ASSERT_TRUE(writer->Write(UploadChunkMessage(0, Pattern(50))));
  while (server.coordinator().Uploaded("job/r1/a1/0").size() != 50) std::this_thread::yield();
  server.server().Shutdown(100);
  EXPECT_FALSE(writer->Finish().ok());
  EXPECT_EQ(server.budget().reserved_bytes(), 0U);
}

TEST(Start, SaysWhoseFaultAPortInUseIs) {
  TestServer server;
  const absl::StatusOr<std::unique_ptr<GrpcServer>> second = GrpcServer::Start(
      {.listen = {"127.0.0.1", server.server().port()}, .tls = std::nullopt}, CallDeps());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(second.status().message());
  EXPECT_THAT(message, HasSubstr(absl::StrCat("port ", server.server().port(), " is in use")));
  EXPECT_THAT(message, HasSubstr("ss -ltnp"));
}

TEST(Start, SaysThatAnAddressIsNotOfThisMachine) {
  TestPki pki;
  const absl::StatusOr<std::unique_ptr<GrpcServer>> server = GrpcServer::Start(
      {.listen = {"192.0.2.1", 7443}, .tls = pki.Issue("coordinator", "coordinator")}, CallDeps());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("192.0.2.1:7443"));
}

}  // namespace
}  // namespace fedwatt
