#include "server/driver/grpc_adapter/transport_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fedwatt/v1/client_service.grpc.pb.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

TEST(TransportMemory, OpenCallsRaiseTheQuotaAndGiveItBack) {
  TransportMemory memory(1 << 20);
  EXPECT_EQ(memory.quota_bytes(), 1u << 20);
  auto first = std::make_unique<TransportMemory::Call>(&memory);
  const uint64_t with_one = memory.quota_bytes();
  EXPECT_GT(with_one, 1u << 20);
  {
    const TransportMemory::Call second(&memory);
    EXPECT_EQ(memory.quota_bytes() - with_one, with_one - (1 << 20));
  }
  first.reset();
  EXPECT_EQ(memory.quota_bytes(), 1u << 20);
}

TEST(TransportMemory, ACallOfAServerWithoutQuotaCountsNothing) {
  const TransportMemory::Call call(nullptr);
}

TEST(TransportMemory, AClientWhoWaitsIsAnOpenCall) {
  TestServer server;
  const uint64_t before = server.server().memory().quota_bytes();
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  const auto context = NewContext();
  std::thread caller([&] {
    v1::CheckInResponse response;
    (void)stub->CheckIn(context.get(), CheckInMessage(), &response);
  });
  server.coordinator().WaitForWaiting(1);
  EXPECT_GT(server.server().memory().quota_bytes(), before);
  context->TryCancel();
  caller.join();
  server.server().Shutdown(0);  // returns when the call is gone
  EXPECT_EQ(server.server().memory().quota_bytes(), before);
}

// Far more bytes than the quota, from many connections at once: what gRPC cannot keep it does not
// read, and no stream is lost.
TEST(TransportMemory, UploadsBeyondTheQuotaAllArrive) {
  constexpr int kClients = 16;
  TestServer server({.inflight_bytes = 2 << 20, .buffer_bytes = 4 << 20});
  const std::string update(1 << 20, 'u');
  std::vector<std::thread> callers;
  std::vector<grpc::Status> statuses(kClients);
  for (int i = 0; i < kClients; ++i) {
    callers.emplace_back([&, i] {
      const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
      const auto context = NewContext();
      v1::ReportResponse response;
      const auto stream = stub->Upload(context.get(), &response);
      const std::string name = absl::StrCat("a", i);
      stream->Write(UploadHeaderMessage(name, update));
      stream->Write(UploadChunkMessage(0, update));
      stream->WritesDone();
      statuses[i] = stream->Finish();
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const grpc::Status& status : statuses) EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace fedwatt
