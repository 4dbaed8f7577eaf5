#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "common/base/bounds.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

CheckInResponse Rejected(const std::string& reason) {
  CheckInResponse response;
  response.rejection = Rejection{reason, 1500};
  return response;
}

TEST(CheckIn, BringsTheCoordinatorsAnswer) {
  TestServer server;
  server.coordinator().AnswerCheckIns(Rejected("no work"));
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::CheckInResponse response;
  const grpc::Status status = stub->CheckIn(NewContext().get(), CheckInMessage(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.rejection().reason(), "no work");
  EXPECT_EQ(response.rejection().retry_after_ms(), 1500);
}

TEST(CheckIn, IsCancelledAtTheCoordinatorWhenThePeerGoesAway) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const auto context = NewContext();
  grpc::Status status;
  std::thread caller([&] {
    v1::CheckInResponse response;
    status = stub->CheckIn(context.get(), CheckInMessage(), &response);
  });
  server.coordinator().WaitForWaiting(1);
  context->TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  server.coordinator().WaitForWaiting(0);
}

TEST(CheckIn, RefusesValuesOutOfBounds) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::CheckInRequest request = CheckInMessage();
  request.set_sdk_version(std::string(100'000, 'x'));
  v1::CheckInResponse response;
  const grpc::Status status = stub->CheckIn(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("sdk_version"));
  EXPECT_TRUE(server.coordinator().callers().empty());
}

TEST(CheckIn, RefusesAnOversizedMessage) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  v1::CheckInRequest request = CheckInMessage();
  request.set_sdk_version(std::string(5 << 20, 'x'));
  v1::CheckInResponse response;
  const grpc::Status status = stub->CheckIn(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("larger than max"));
}

TEST(CheckIn, ToleratesFieldsOfLaterVersions) {
  TestServer server;
  server.coordinator().AnswerCheckIns(Rejected("no work"));
  v1::CheckInRequest request = CheckInMessage();
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(9999, 7);
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::CheckInResponse response;
  EXPECT_TRUE(stub->CheckIn(NewContext().get(), request, &response).ok());
}

TEST(CheckIn, ARoleThatIsNotTheCallersIsRefused) {
  TestServer server;
  v1::CheckInRequest request = CheckInMessage();
  request.set_role("evaluator");
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::CheckInResponse response;
  const grpc::Status status = stub->CheckIn(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("evaluator"));
}

TEST(Report, ReachesTheCoordinatorOnce) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::ReportRequest request = ReportMessage("job/r1/a1/0", "tiny");
  request.mutable_update()->set_inline_data("tiny");
  v1::ReportResponse response;
  const grpc::Status status = stub->Report(NewContext().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.accepted());
  EXPECT_EQ(server.coordinator().reports(), 1);
  EXPECT_EQ(server.coordinator().Uploaded("job/r1/a1/0"), "tiny");
}

TEST(Report, RefusesAnUpdateThatItNamesButDoesNotCarry) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::ReportResponse response;
  const grpc::Status status =
      stub->Report(NewContext().get(), ReportMessage("job/r1/a1/0", "update"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("Upload"));
  EXPECT_EQ(server.coordinator().reports(), 0);
}

TEST(Report, RefusesMoreInlineDataThanFits) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const std::string update(bounds::kMaxInlineBytes + 1, 'x');
  v1::ReportRequest request = ReportMessage("job/r1/a1/0", update);
  request.mutable_update()->set_inline_data(update);
  v1::ReportResponse response;
  const grpc::Status status = stub->Report(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("call Upload"));
  EXPECT_EQ(server.coordinator().reports(), 0);
}

TEST(Report, HandsInlineDataOverAsItCame) {
  TestServer server;
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::ReportRequest request = ReportMessage("job/r1/a1/0", "tiny");
  request.mutable_update()->set_inline_data("TINY");
  v1::ReportResponse response;
  EXPECT_TRUE(stub->Report(NewContext().get(), request, &response).ok());
  // The coordinator compares it with the hash, off gRPC's threads.
  EXPECT_EQ(server.coordinator().Uploaded("job/r1/a1/0"), "TINY");
}

}  // namespace
}  // namespace fedwatt
