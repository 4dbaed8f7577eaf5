#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/driver/pace_steering.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;

class CheckIn : public ::testing::Test {
 protected:
  CheckIn() : client_({.name = "phone"}, &world_.executor, &world_.clock) {
    world_.StartCoordinator();
  }

  using Answer = std::optional<absl::StatusOr<CheckInResponse>>;

  std::shared_ptr<Answer> Call(const Principal& who, const CheckInRequest& request) {
    auto answer = std::make_shared<Answer>();
    last_id_ = world_.coordinator().CheckIn(
        who, request, [answer](absl::StatusOr<CheckInResponse> response) { *answer = response; });
    EXPECT_FALSE(answer->has_value()) << "answered inside the call";
    world_.RunFor(0);
    return answer;
  }

  Rejection Rejected(const CheckInRequest& request) {
    const auto answer = Call(client_.principal(), request);
    world_.RunFor(30'000);
    EXPECT_TRUE(answer->has_value());
    if (!answer->has_value() || !(*answer)->ok() || !(**answer)->rejection) return {};
    return *(**answer)->rejection;
  }

  TestWorld world_;
  FakeClient client_;
  uint64_t last_id_ = 0;
};

TEST_F(CheckIn, AForeignTenantIsRefused) {
  CheckInRequest request = client_.Request();
  request.tenant = "acme";
  const auto answer = Call(client_.principal(), request);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(std::string((*answer)->status().message()),
            "tenant 'acme' is not yours: this certificate is for 'default'; correct the client's "
            "configuration");
}

TEST_F(CheckIn, ARoleThatTheCertificateDoesNotGrantIsRefused) {
  CheckInRequest request = client_.Request();
  request.role = Role::kEvaluator;
  EXPECT_EQ((*Call(client_.principal(), request))->status().code(),
            absl::StatusCode::kPermissionDenied);
  Principal who = client_.principal();
  who.role = Role::kOperator;
  request.role = Role::kOperator;
  const auto answer = Call(who, request);
  EXPECT_THAT(std::string((*answer)->status().message()),
              HasSubstr("role 'operator' is not granted"));
}

TEST_F(CheckIn, ProtocolsThatDoNotMeetSayWhoIsToUpgrade) {
  CheckInRequest request = client_.Request();
  request.protocol_min = 2;
  request.protocol_max = 3;
  EXPECT_EQ(Rejected(request).reason,
            "this client speaks protocol 2 to 3, this coordinator 1 to 1; upgrade the coordinator");
  request.protocol_min = 0;
  request.protocol_max = 0;
  EXPECT_EQ(Rejected(request).reason,
            "this client speaks protocol 0 to 0, this coordinator 1 to 1; upgrade the client");
}

TEST_F(CheckIn, WaitsAndThenSaysWhyThereIsNoWork) {
  CheckInRequest request = client_.Request();
  const auto answer = Call(client_.principal(), request);
  world_.RunFor(19'999);
  EXPECT_FALSE(answer->has_value());
  EXPECT_EQ(world_.coordinator().Stats().waiting_clients, 1u);
  world_.RunFor(1);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((**answer)->rejection->reason, "no job is running for clients of population 'default'");
  EXPECT_EQ((**answer)->server_time_ms, world_.clock.NowMs());
  // The base, give or take a quarter: a job may come any moment.
  EXPECT_GE((**answer)->rejection->retry_after_ms, 7'500);
  EXPECT_LE((**answer)->rejection->retry_after_ms, 12'500);
}

TEST_F(CheckIn, SaysWhatAClientLacksForTheJob) {
  JobSpec spec = world_.Spec(2);
  spec.dataset.min_examples = 100;
  spec.eligibility.labels = {{"region", "eu"}};
  spec.eligibility.min_memory_bytes = 1 << 20;
  spec.eligibility.trainer = "fake";
  spec.plan.min_sdk = "1.2";
  world_.Submit(spec);
  CheckInRequest request = client_.Request();
  request.capabilities.labels = {{"region", "eu"}};
  request.sdk_version = "1.10.0";
  const auto why = [&](auto change) {
    CheckInRequest changed = request;
    change(&changed);
    return Rejected(changed).reason;
  };
  EXPECT_EQ(why([](CheckInRequest* r) { r->datasets[0].name = "x"; }),
            "no job for dataset 'x': job job-1 needs dataset 'digits'");
  EXPECT_THAT(why([](CheckInRequest* r) { r->datasets[0].example_count_bucket = 6; }),
              HasSubstr("needs 100 examples of dataset 'digits'"));
  EXPECT_THAT(why([](CheckInRequest* r) { r->capabilities.labels.clear(); }),
              HasSubstr("needs label region = 'eu'"));
  EXPECT_THAT(why([](CheckInRequest* r) { r->capabilities.memory_bytes = 7; }),
              HasSubstr("needs 1048576 bytes of memory, not 7"));
  EXPECT_THAT(why([](CheckInRequest* r) { r->capabilities.trainers = {"torch"}; }),
              HasSubstr("needs trainer 'fake'"));
  EXPECT_THAT(why([](CheckInRequest* r) { r->capabilities.codecs = {"zip"}; }),
              HasSubstr("needs codec 'raw_f32'"));
  EXPECT_THAT(why([](CheckInRequest* r) { r->sdk_version = "1.1.9"; }),
              HasSubstr("needs SDK 1.2, not 1.1.9; upgrade the client"));
  EXPECT_EQ(why([](CheckInRequest* r) { r->population = "other"; }),
            "no job is running for clients of population 'other'");
  // Fits, but the round needs two: it is asked to come back soon.
  const Rejection wanted = Rejected(request);
  EXPECT_EQ(wanted.reason, "job job-1 has no work at this moment");
  EXPECT_LE(wanted.retry_after_ms, 1250);
}

TEST_F(CheckIn, ANewerSessionTakesTheOlderOnesPlace) {
  CheckInRequest request = client_.Request();
  request.session = 5;
  const auto older = Call(client_.principal(), request);
  request.session = 6;
  const auto newer = Call(client_.principal(), request);
  ASSERT_TRUE(older->has_value());
  EXPECT_EQ((*older)->status().code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(newer->has_value());
  request.session = 4;
  const auto stale = Call(client_.principal(), request);
  EXPECT_EQ((*stale)->status().code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(newer->has_value());
  EXPECT_EQ(world_.coordinator().Stats().waiting_clients, 1u);
}

TEST_F(CheckIn, ACallerThatWentAwayIsCancelledAndClaimedNoMore) {
  const auto answer = Call(client_.principal(), client_.Request());
  world_.coordinator().CancelCheckIn(last_id_);
  world_.RunFor(0);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(world_.coordinator().Stats().waiting_clients, 0u);
  world_.coordinator().CancelCheckIn(last_id_);
  world_.coordinator().CancelCheckIn(4711);
}

TEST_F(CheckIn, AShutdownAnswersWhoWaits) {
  const auto answer = Call(client_.principal(), client_.Request());
  world_.coordinator().Shutdown();
  world_.RunFor(0);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status().code(), absl::StatusCode::kUnavailable);
  const auto late = Call(client_.principal(), client_.Request());
  ASSERT_TRUE(late->has_value());
  EXPECT_EQ((*late)->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CheckIn, ABoundOnHowManyWait) {
  world_.options.max_waiting_clients = 1;
  world_.StartCoordinator();
  const auto first = Call(client_.principal(), client_.Request());
  Principal other = client_.principal();
  other.subject = "tablet";
  const auto second = Call(other, client_.Request());
  EXPECT_FALSE(first->has_value());
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CheckIn, AClientThatLostItsAssignmentGetsItAgain) {
  FakeClient* client = world_.AddClients(1)[0];
  client->train = [](const Assignment&) { return std::nullopt; };
  world_.Submit(world_.Spec(1));
  world_.RunFor(1000);
  ASSERT_EQ(client->assignments.size(), 1u);
  world_.RunFor(9000);
  const auto again = Call(client->principal(), client->Request());
  ASSERT_TRUE(again->has_value());
  ASSERT_TRUE((**again)->assignment.has_value());
  EXPECT_EQ((**again)->assignment->id, "job-1/r1/a1/0");
  EXPECT_EQ((**again)->assignment->time_left_ms, 110'000);
}

TEST_F(CheckIn, TellsTheOutcomeOfWhatIsHeld) {
  const auto clients = world_.AddClients(2);
  clients[1]->train = [](const Assignment&) { return std::nullopt; };
  world_.Submit(world_.Spec(2));
  world_.RunFor(1000);
  const std::string mine = clients[0]->assignments.at(0).id;
  const std::string theirs = clients[1]->assignments.at(0).id;
  const auto outcome = [&](const FakeClient& client, const std::string& id, HoldingStage stage) {
    CheckInRequest request = client.Request();
    request.max_wait_ms = 0;
    request.session = 99;
    request.holding = {{id, stage}};
    const auto answer = Call(client.principal(), request);
    EXPECT_TRUE(answer->has_value() && (*answer)->ok());
    return (**answer)->outcomes.at(0).outcome;
  };
  EXPECT_EQ(outcome(*clients[0], mine, HoldingStage::kReported), Outcome::kPending);
  EXPECT_EQ(outcome(*clients[1], theirs, HoldingStage::kWorking), Outcome::kPending);
  EXPECT_EQ(outcome(*clients[1], theirs, HoldingStage::kReady), Outcome::kWanted);
  EXPECT_EQ(outcome(*clients[0], theirs, HoldingStage::kReady), Outcome::kUnknown);
  EXPECT_EQ(outcome(*clients[0], "job-9/r1/a1/0", HoldingStage::kReady), Outcome::kUnknown);
  EXPECT_EQ(outcome(*clients[0], "garbage", HoldingStage::kReady), Outcome::kUnknown);
  clients[0]->Stop();
  world_.RunFor(120'000);  // the deadline: one report is too few
  EXPECT_EQ(outcome(*clients[0], mine, HoldingStage::kReported), Outcome::kAbandoned);
  world_.StartCoordinator();  // and from the store
  EXPECT_EQ(outcome(*clients[0], mine, HoldingStage::kReported), Outcome::kAbandoned);
  EXPECT_EQ(outcome(*clients[0], theirs, HoldingStage::kReported), Outcome::kUnknown);
}

TEST_F(CheckIn, AClockThatIsOffIsServedAndNotedOnce) {
  CheckInRequest request = client_.Request();
  request.client_time_ms -= 6 * 60 * 1000;
  Call(client_.principal(), request);
  Call(client_.principal(), request);
  EXPECT_EQ(world_.coordinator().Stats().waiting_clients, 1u);
  int notes = 0;
  for (const std::string& line : world_.log) {
    if (line.find("a client's clock is off") != std::string::npos) ++notes;
  }
  EXPECT_EQ(notes, 1);
  EXPECT_TRUE(world_.Logged("by=\"-6 m 00 s\""));
}

TEST(PaceSteering, ACrowdStaysAwaySoThatEnoughOfItWait) {
  // A million, of whom a thousand are to wait at any time for 20 s each: the turn of one comes once
  // in 20,000 s, which is more than the hour at most.
  EXPECT_EQ(CrowdPaceMs(10'000, 20'000, 1'000'000, 1000), 3'600'000);
  EXPECT_EQ(CrowdPaceMs(10'000, 20'000, 10'000, 1000), 180'000);
  EXPECT_EQ(CrowdPaceMs(10'000, 20'000, 1000, 1000), 10'000);
  EXPECT_EQ(CrowdPaceMs(10'000, 0, 10'000, 1000), 90'000);
  EXPECT_EQ(CrowdPaceMs(10'000, 20'000, 5, 0), 80'000);
}

}  // namespace
}  // namespace fedwatt::testing
