// What a load balancer and a person with grpc_cli ask: health and reflection.

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kHealthMethod[] = "/grpc.health.v1.Health/Check";
constexpr char kReflectionMethod[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) text.append(slice.begin(), slice.end());
  return text;
}

grpc::ByteBuffer Buffer(const std::string& text) {
  const grpc::Slice slice(text);
  return {&slice, 1};
}

// One request, one answer, on a method that need not be compiled in.
class OneCall {
 public:
  explicit OneCall(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {}

  std::string Ask(const std::string& method, const std::string& request, grpc::Status* status) {
    constexpr int64_t kLimitMs = 10'000;
    context_.set_deadline(gpr_time_from_millis(kLimitMs, GPR_TIMESPAN));
    const auto call = stub_.PrepareCall(&context_, method, &queue_);
    grpc::ByteBuffer response;
    call->StartCall(nullptr);
    Next();
    call->WriteLast(Buffer(request), grpc::WriteOptions(), nullptr);
    Next();
    call->Read(&response, nullptr);
    const bool answered = Next();
    call->Finish(status, nullptr);
    Next();
    return answered ? Text(response) : "";
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_.Next(&tag, &ok));
    return ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
};

TEST(Services, HealthAnswersServing) {
  Deployment fleet(0);
  ASSERT_TRUE(fleet.StartCoordinator());
  grpc::Status status;
  // HealthCheckRequest{} asks for the whole server; the answer is {status: SERVING = 1}.
  const std::string answer = OneCall(fleet.channel()).Ask(kHealthMethod, "", &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answer, std::string("\x08\x01"));
}

// The health check of a container has only the certificate that is there.
TEST(Services, FedwattHealthTakesAnyCertificateOfTheAuthority) {
  Deployment fleet(1);
  ASSERT_TRUE(fleet.StartCoordinator());
  for (const std::string name : {"coordinator", "operator", "client-0"}) {
    const Output health = fleet.Cli({"health", "--as", name});
    EXPECT_EQ(health.code, 0) << health.ToString();
    EXPECT_THAT(health.out, HasSubstr(fleet.address() + " serves"));
  }
  EXPECT_EQ(fleet.Cli({"health", "--json"}).Json()["serving"], true);

  fleet.KillCoordinator();
  const Output away = fleet.Cli({"health"});
  EXPECT_EQ(away.code, 3) << away.ToString();
  EXPECT_THAT(away.err, AllOf(HasSubstr(fleet.address()), HasSubstr("fedwatt doctor")));
  EXPECT_EQ(fleet.Cli({"health", "--json"}).Json()["exit_code"], 3);
  EXPECT_EQ(fleet.Cli({"health", "--wait", "0.5"}).code, 3);
  EXPECT_EQ(fleet.Cli({"health", "--wait", "-1"}).code, 2);
  EXPECT_EQ(fleet.Cli({"health", "--as", "nobody"}).code, 5);
}

TEST(Services, FedwattHealthWaitsForTheCoordinator) {
  Deployment fleet(1);
  ASSERT_TRUE(fleet.StartCoordinator());
  fleet.KillCoordinator();
  Program health(fleet.CliCommand({"health", "--wait", "60"}), fleet.File("health.txt"));
  ASSERT_TRUE(fleet.StartCoordinator());
  EXPECT_EQ(health.WaitForExit(60'000), 0) << health.Log();

  fleet.KillCoordinator();
  Program interrupted(fleet.CliCommand({"health", "--wait", "60"}), fleet.File("interrupted.txt"));
  ASSERT_TRUE(WaitUntil("the first answer", [&] { return !interrupted.Log().empty(); }));
  EXPECT_EQ(interrupted.Stop(), 130) << interrupted.Log();
}

TEST(Services, ReflectionListsTheServices) {
  Deployment fleet(0);
  ASSERT_TRUE(fleet.StartCoordinator());
  grpc::Status status;
  // ServerReflectionRequest{list_services = 7: "*"}.
  const std::string answer =
      OneCall(fleet.channel()).Ask(kReflectionMethod, std::string("\x3a\x01*"), &status);
  EXPECT_THAT(answer,
              AllOf(HasSubstr("fedwatt.v1.ClientService"), HasSubstr("fedwatt.v1.AdminService"),
                    HasSubstr("grpc.health.v1.Health")));
}

}  // namespace
}  // namespace fedwatt::e2e
