#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/bounds.h"
#include "common/transport/retry_after.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

constexpr char kId[] = "job/r1/a1/0";

struct Uploaded {
  grpc::Status status;
  v1::ReportResponse response;
  std::unique_ptr<grpc::ClientContext> context;
};

Uploaded Upload(TestServer& server, const std::vector<v1::UploadRequest>& messages) {
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  Uploaded result;
  result.context = NewContext();
  const auto writer = stub->Upload(result.context.get(), &result.response);
  for (const auto& message : messages) {
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  result.status = writer->Finish();
  return result;
}

TEST(Upload, CarriesAnUpdateInChunks) {
  TestServer server;
  const std::string update = Pattern(bounds::kChunkBytes + 5);
  const Uploaded done =
      Upload(server, {UploadHeaderMessage(kId, update),
                      UploadChunkMessage(0, update.substr(0, bounds::kChunkBytes)),
                      UploadChunkMessage(bounds::kChunkBytes, update.substr(bounds::kChunkBytes))});
  ASSERT_TRUE(done.status.ok()) << done.status.error_message();
  EXPECT_TRUE(done.response.accepted());
  EXPECT_TRUE(server.coordinator().Uploaded(kId) == update);
  EXPECT_EQ(server.budget().reserved_bytes(), 0U);
}

TEST(Upload, CutGoesOnWhereItStopped) {
  TestServer server;
  const std::string update = Pattern(1000);
  const Uploaded cut = Upload(
      server, {UploadHeaderMessage(kId, update), UploadChunkMessage(0, update.substr(0, 900))});
  EXPECT_EQ(cut.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(cut.status.error_message(), HasSubstr("900 of 1000"));

  const Uploaded rest = Upload(
      server, {UploadHeaderMessage(kId, update, 900), UploadChunkMessage(900, update.substr(900))});
  ASSERT_TRUE(rest.status.ok()) << rest.status.error_message();
  EXPECT_EQ(server.coordinator().Uploaded(kId), update);
}

TEST(Upload, TellsHowFarItIs) {
  TestServer server;
  const std::string update = Pattern(1000);
  Upload(server, {UploadHeaderMessage(kId, update), UploadChunkMessage(0, update.substr(0, 900))});
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::UploadStatusRequest request;
  request.set_assignment_id(kId);
  request.set_sha256(DigestBytes(update));
  v1::UploadStatusResponse response;
  ASSERT_TRUE(stub->UploadStatus(NewContext().get(), request, &response).ok());
  EXPECT_EQ(response.offset(), 900U);
  EXPECT_FALSE(response.complete());
}

TEST(Upload, AWrongHashIsTheCoordinatorsRefusal) {
  TestServer server;
  const Uploaded done = Upload(server, {UploadHeaderMessage(kId, Pattern(100)),
                                        UploadChunkMessage(0, std::string(100, 'x'))});
  EXPECT_EQ(done.status.error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST(Upload, AFinalRefusalNeedsNoBytes) {
  TestServer server;
  server.coordinator().RefuseUploads(
      {.accepted = false, .outcome = Outcome::kRefused, .reason = "late"});
  const Uploaded done = Upload(server, {UploadHeaderMessage(kId, Pattern(100))});
  ASSERT_TRUE(done.status.ok()) << done.status.error_message();
  EXPECT_FALSE(done.response.accepted());
  EXPECT_EQ(done.response.outcome(), v1::OUTCOME_REFUSED);
  EXPECT_EQ(done.response.reason(), "late");
}

struct BadUpload {
  std::string name;
  std::vector<v1::UploadRequest> messages;
  std::string message;
  std::string kept;  // what the coordinator got before
};

void PrintTo(const BadUpload& bad, std::ostream* out) { *out << bad.name; }

class BadUploads : public testing::TestWithParam<BadUpload> {};

TEST_P(BadUploads, AreRefusedBeforeTheyAreCounted) {
  TestServer server;
  const Uploaded done = Upload(server, GetParam().messages);
  EXPECT_EQ(done.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(done.status.error_message(), HasSubstr(GetParam().message));
  EXPECT_EQ(server.coordinator().Uploaded(kId), GetParam().kept);
  EXPECT_EQ(server.budget().reserved_bytes(), 0U);
}

std::vector<BadUpload> BadUploadCases() {
  const std::string update = Pattern(1000);
  const std::string half = update.substr(0, 500);
  v1::UploadRequest without_update = UploadHeaderMessage(kId, update);
  without_update.mutable_header()->mutable_report()->clear_update();
  v1::UploadRequest bad_report = UploadHeaderMessage(kId, update);
  bad_report.mutable_header()->mutable_report()->set_base_sha256("short");
  const v1::UploadRequest header = UploadHeaderMessage(kId, update);
  return {
      {"NoMessage", {}, "without a header", ""},
      {"NoHeader", {UploadChunkMessage(0, half)}, "send the header first", ""},
      {"EmptyMessage", {v1::UploadRequest()}, "neither header nor chunk", ""},
      {"TwoHeaders", {header, header}, "second upload header", ""},
      {"NoUpdateDeclared", {without_update}, "declares size and hash", ""},
      {"BadReport", {bad_report}, "base_sha256", ""},
      {"WrongOffset", {header, UploadChunkMessage(1, half)}, "goes on at 0", ""},
      {"RepeatedChunk",
       {header, UploadChunkMessage(0, half), UploadChunkMessage(0, half)},
       "goes on at 500",
       half},
      {"Gap",
       {header, UploadChunkMessage(0, half), UploadChunkMessage(600, half)},
       "goes on at 500",
       half},
      {"EmptyChunk", {header, UploadChunkMessage(0, "")}, "chunk of 0 bytes", ""},
      {"BeyondTheDeclaredSize",
       {header, UploadChunkMessage(0, half), UploadChunkMessage(500, update)},
       "beyond the declared size of 1000",
       half},
      {"AfterTheEnd",
       {header, UploadChunkMessage(0, update), UploadChunkMessage(1000, "x")},
       "beyond the declared size of 1000",
       update},
      {"ChunkAboveTheLimit",
       {UploadHeaderMessage(kId, Pattern(3 << 20)), UploadChunkMessage(0, Pattern(2 << 20))},
       "legal are 1 to 1048576",
       ""},
  };
}

INSTANTIATE_TEST_SUITE_P(, BadUploads, testing::ValuesIn(BadUploadCases()),
                         [](const auto& info) { return info.param.name; });

TEST(Upload, AFullDiskReachesTheCaller) {
  TestServer server;
  server.coordinator().OnAppend(
      [](uint64_t) { return absl::ResourceExhaustedError("the disk is full"); });
  const std::string update = Pattern(100);
  const Uploaded done =
      Upload(server, {UploadHeaderMessage(kId, update), UploadChunkMessage(0, update)});
  EXPECT_EQ(done.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(done.status.error_message(), "the disk is full");
}

TEST(Upload, ASilentPeerIsHungUpOn) {
  TestServer server({.stream_idle_ms = 100});
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const auto context = NewContext();
  v1::ReportResponse response;
  const auto writer = stub->Upload(context.get(), &response);
  writer->Write(UploadHeaderMessage(kId, Pattern(100)));
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("nothing arrived for 100 ms"));
  EXPECT_EQ(server.budget().reserved_bytes(), 0U);
}

// The budget has room for one chunk. While the first upload's is being taken, the second waits.
TEST(UploadBudgetOverGrpc, TheSecondUploadWaitsUnreadUntilTheFirstIsDone) {
  TestServer server({.inflight_bytes = bounds::kChunkBytes});
  const std::string update = Pattern(bounds::kChunkBytes);
  Mutex mutex;
  CondVar changed;
  bool open = false;
  int inside = 0;
  int most_inside = 0;
  server.coordinator().OnAppend([&](uint64_t) {
    MutexLock lock(&mutex);
    most_inside = std::max(most_inside, ++inside);
    changed.NotifyAll();
    while (!open) changed.Wait(&mutex);
    --inside;
    return absl::OkStatus();
  });
  const auto upload = [&](const std::string& id) {
    const Uploaded done =
        Upload(server, {UploadHeaderMessage(id, update), UploadChunkMessage(0, update)});
    EXPECT_TRUE(done.status.ok()) << done.status.error_message();
  };
  std::thread first([&] { upload("job/r1/a1/0"); });
  {
    MutexLock lock(&mutex);
    while (inside == 0) changed.Wait(&mutex);
  }
  std::thread second([&] { upload("job/r1/a1/1"); });
  while (server.budget().waiting() == 0) std::this_thread::yield();
  EXPECT_EQ(server.budget().reserved_bytes(), bounds::kChunkBytes);
  {
    MutexLock lock(&mutex);
    open = true;
    changed.NotifyAll();
  }
  first.join();
  second.join();
  EXPECT_EQ(most_inside, 1);
  EXPECT_TRUE(server.coordinator().Uploaded("job/r1/a1/1") == update);
  EXPECT_EQ(server.budget().reserved_bytes(), 0U);
}

TEST(UploadBudgetOverGrpc, WhoWaitsTooLongHearsWhenToComeBack) {
  TestServer server({.inflight_bytes = 1000, .upload_wait_ms = 50});
  ASSERT_EQ(server.budget().Reserve(1000, [] {}), 0U);
  const std::string update = Pattern(10);
  const Uploaded done =
      Upload(server, {UploadHeaderMessage(kId, update), UploadChunkMessage(0, update)});
  EXPECT_EQ(done.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(done.status.error_message(), HasSubstr("memory for uploads"));
  EXPECT_EQ(RetryAfterMs(FromGrpcStatus(done.status, *done.context)), 50);
  server.budget().Release(1000);
  EXPECT_TRUE(Upload(server, {UploadHeaderMessage(kId, update), UploadChunkMessage(0, update)})
                  .status.ok());
}

TEST(UploadBudgetOverGrpc, APeerThatLeavesTheQueueFreesItsPlace) {
  TestServer server({.inflight_bytes = 1000});
  ASSERT_EQ(server.budget().Reserve(1000, [] {}), 0U);
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const auto context = NewContext();
  v1::ReportResponse response;
  const auto writer = stub->Upload(context.get(), &response);
  while (server.budget().waiting() == 0) std::this_thread::yield();
  context->TryCancel();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  while (server.budget().waiting() != 0) std::this_thread::yield();
}

}  // namespace
}  // namespace fedwatt
