// A codec per assignment, from the check-in to the sum, through restarts.

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/driver/blocking_write.h"
#include "server/store/pseudonym.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kParameters = 100'000;

// Deltas of the client and the round alone, coded as the assignment says.
FakeWork CodedWork(const FakeClient& client, const Assignment& assignment) {
  FakeWork work = client.DefaultWork(assignment);
  std::vector<float> delta(kParameters);
  Rng rng(RngKey{assignment.key.job, assignment.key.round, client.options().name, "coded", 0});
  for (float& value : delta) value = static_cast<float>(rng.Normal()) / 64;
  const auto codec = MakeCodec(assignment.codec);
  EXPECT_TRUE(codec.ok()) << codec.status();
  const CodecContext context{
      .job = assignment.key.job, .round = assignment.key.round, .client = client.options().name};
  EXPECT_TRUE((*codec)->Encode(delta, context, &work.update).ok());
  EXPECT_LE(work.update.size(), assignment.max_upload_bytes);
  return work;
}

struct Device {
  std::string name;
  std::vector<std::string> codecs;
  CostEstimate costs;
};

class CodecChoice : public ::testing::Test {
 protected:
  FakeClient* Add(TestWorld* world, const Device& device) {
    FakeClient* client = world->AddClient({.name = device.name});
    client->amend = [device](CheckInRequest* request) {
      request->capabilities.codecs = device.codecs;
      request->costs = device.costs;
    };
    client->train = [client](const Assignment& assignment) {
      return CodedWork(*client, assignment);
    };
    client->train_ms = 500;
    return client;
  }

  static JobSpec Adaptive(TestWorld* world, uint32_t clients) {
    JobSpec spec = world->Spec(clients);
    spec.codec.up = "eden:bits=2";
    spec.codec.policy = "adaptive";
    return spec;
  }

  static JobView SubmitTo(TestWorld* world, const JobSpec& spec) {
    const auto job = world->coordinator().SubmitJob(spec, world->AddBundle(kParameters), "");
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : JobView{};
  }

  const Device rich_{.name = "rich",
                     .codecs = {"raw_f32", "eden"},
                     .costs = {.up_joules_per_byte = 1e-12, .train_joules = 1000}};
  const Device poor_{.name = "poor",
                     .codecs = {"raw_f32", "eden"},
                     .costs = {.up_joules_per_byte = 1e-3, .train_joules = 1}};
  const Device old_{.name = "old", .codecs = {"raw_f32"}};
  const Device new_{.name = "new", .codecs = {"bf16", "eden", "raw_f32"}};
};

TEST_F(CodecChoice, EachClientGetsItsOwnAndTheReportCountsThem) {
  TestWorld world;
  world.StartCoordinator();
  std::map<std::string, FakeClient*> clients;
  for (const Device& device : {rich_, poor_, old_, new_}) {
    clients[device.name] = Add(&world, device);
  }
  SubmitTo(&world, Adaptive(&world, 4));
  const JobView job = world.RunToEnd("job-1");
  ASSERT_EQ(job.state, JobState::kCompleted) << job.reason;
  std::map<std::string, std::string> codecs;
  for (const auto& [name, client] : clients) {
    const Assignment& assignment = client->assignments.at(0);
    codecs[name] = assignment.codec;
    EXPECT_THAT(assignment.codec_reason, StartsWith(absl::StrCat(assignment.codec, ": ")));
    const auto record = world.disk->FindAssignment(assignment.id);
    ASSERT_TRUE(record.ok() && record->has_value());
    EXPECT_EQ((*record)->codec, assignment.codec);
    EXPECT_EQ((*record)->codec_reason, assignment.codec_reason);
  }
  EXPECT_THAT(codecs, UnorderedElementsAre(Pair("rich", "raw_f32"), Pair("poor", "eden:bits=1"),
                                           Pair("old", "raw_f32"), Pair("new", "eden:bits=2")));
  for (const RoundSummary& round : job.rounds) {
    EXPECT_EQ(round.reported, 4u);
    EXPECT_THAT(round.codecs, UnorderedElementsAre(Pair("raw_f32", 2), Pair("eden:bits=1", 1),
                                                   Pair("eden:bits=2", 1)));
  }
}

// Kills at every task of a run would take minutes here; every few hundred milliseconds reaches each
// phase of a round.
TEST_F(CodecChoice, RestartsChangeNeitherCodecsNorTheModel) {
  const auto run = [this](int64_t kill_every_ms) {
    TestWorld world;
    world.StartCoordinator();
    std::vector<FakeClient*> clients;
    for (const Device& device : {rich_, poor_, old_, new_}) {
      clients.push_back(Add(&world, device));
    }
    JobSpec spec = Adaptive(&world, 4);
    spec.bounds.max_update_norm = 0.5;  // clips all of them
    SubmitTo(&world, spec);
    int restarts = 0;
    while (kill_every_ms > 0 && restarts < 12) {
      world.RunFor(kill_every_ms);
      ++restarts;
      world.StartCoordinator();
    }
    const JobView job = world.RunToEnd("job-1");
    EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
    std::map<std::string, std::string> codecs;
    for (FakeClient* client : clients) {
      for (const auto& [id, times] : client->trainings) EXPECT_EQ(times, 1) << id;
      for (const Assignment& assignment : client->assignments) {
        const auto [it, first] = codecs.emplace(assignment.id, assignment.codec);
        EXPECT_EQ(it->second, assignment.codec) << "sent again as it was";
      }
    }
    return job.last.sha256;
  };
  const Digest expected = run(0);
  for (const int64_t every_ms : {130, 210, 370}) EXPECT_EQ(run(every_ms), expected) << every_ms;
}

TEST_F(CodecChoice, AnAssignmentSentAgainIsTheOneThatWasWrittenDown) {
  TestWorld world;
  world.StartCoordinator();
  FakeClient* client = Add(&world, poor_);
  client->train_ms = 5000;
  SubmitTo(&world, Adaptive(&world, 1));
  world.RunFor(1000);
  ASSERT_EQ(client->assignments.size(), 1u);
  client->amend = [this](CheckInRequest* request) {
    request->capabilities.codecs = rich_.codecs;
    request->costs = rich_.costs;
  };
  world.StartCoordinator();
  world.RunFor(1000);
  ASSERT_GE(client->assignments.size(), 2u);
  const Assignment& first = client->assignments[0];
  const Assignment& again = client->assignments[1];
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.codec, "eden:bits=1");
  EXPECT_EQ(again.codec, first.codec);
  EXPECT_EQ(again.codec_reason, first.codec_reason);
  EXPECT_EQ(again.max_upload_bytes, first.max_upload_bytes);
  world.RunToEnd("job-1");
  EXPECT_EQ(client->assignments.back().codec, "raw_f32") << "the next round's is chosen anew";
}

TEST_F(CodecChoice, FixedIsOnlyForClientsThatKnowTheCodec) {
  TestWorld world;
  world.StartCoordinator();
  FakeClient* poor = Add(&world, poor_);
  FakeClient* old = Add(&world, old_);
  JobSpec spec = world.Spec(1);
  spec.codec.up = "eden:bits=4";
  SubmitTo(&world, spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_TRUE(old->assignments.empty());
  for (const Assignment& assignment : poor->assignments) {
    EXPECT_EQ(assignment.codec, "eden:bits=4");
    EXPECT_EQ(assignment.codec_reason, "eden:bits=4: the job's codec.up, for all clients");
    EXPECT_LT(assignment.max_upload_bytes, kParameters * sizeof(float));
  }
  EXPECT_THAT(job.rounds.at(0).codecs, ElementsAre(Pair("eden:bits=4", 1)));
}

TEST_F(CodecChoice, StatefulCodecsAreForClientsThatKeepState) {
  TestWorld world;
  world.StartCoordinator();
  const Device sparse{.name = "sparse", .codecs = {"topk"}};
  FakeClient* forgetful = Add(&world, sparse);
  JobSpec spec = world.Spec(1);
  spec.rounds = 1;
  spec.codec.up = "topk";
  SubmitTo(&world, spec);
  world.RunFor(60'000);
  EXPECT_TRUE(forgetful->assignments.empty());
  ASSERT_FALSE(forgetful->rejections.empty());
  EXPECT_THAT(forgetful->rejections.back().reason,
              HasSubstr("needs a client that keeps state, for codec 'topk'"));
  FakeClient* faithful = Add(&world, {.name = "faithful", .codecs = {"topk"}});
  faithful->amend = [inner = faithful->amend](CheckInRequest* request) {
    inner(request);
    request->capabilities.keeps_state = true;
  };
  EXPECT_EQ(world.RunToEnd("job-1").state, JobState::kCompleted);
  EXPECT_EQ(faithful->assignments.size(), 1u);
}

TEST_F(CodecChoice, AnUpdateInAnotherCodecThanAssignedFailsItsOwnClientOnly) {
  TestWorld world;
  world.StartCoordinator();
  FakeClient* good = Add(&world, poor_);
  FakeClient* confused = Add(&world, {.name = "confused", .codecs = {"eden"}});
  confused->train = [confused](const Assignment& assignment) {
    FakeWork work = confused->DefaultWork(assignment);
    work.update = std::string(1000, 'x');
    return work;
  };
  JobSpec spec = Adaptive(&world, 2);
  spec.rounds = 1;
  spec.round.min_reports = 1;
  spec.round.report_deadline_s = 10;
  SubmitTo(&world, spec);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.rounds.at(0).reported, 1u);
  EXPECT_EQ(job.rounds.at(0).failed, 1u);
  ASSERT_EQ(confused->replies.size(), 1u);
  EXPECT_THAT(confused->replies[0].reason, StartsWith("invalid: eden"));
  EXPECT_TRUE(good->replies.at(0).accepted);
}

// ---- logs of other versions

// What a coordinator wrote down before it died, with `codecs` as given; its one client has heard
// nothing yet.
void WriteBegunAttempt(TestWorld* world, const std::vector<std::string>& codecs) {
  const RoundKey key{"job-1", 1, 1, false};
  RoundLimits limits;
  limits.goal = limits.assign = limits.min_reports = 1;
  limits.report_deadline_ms = 3'600'000;
  limits.selection_timeout_ms = 600'000;
  limits.max_attempts = 10;
  ClientsAssigned assigned;
  assigned.key = key;
  assigned.clients = {Pseudonym(world->options.population_key, "default", "default", "old")};
  assigned.inclusion = {1};
  assigned.codecs = codecs;
  assigned.now_ms = world->clock.NowMs();
  ASSERT_TRUE(
      WriteAndWait(world->disk.get(), {AppendLog{AttemptBegan{key, limits, world->clock.NowMs()}},
                                       AppendLog{std::move(assigned)}})
          .ok());
}

TEST_F(CodecChoice, AnAttemptOfAnEarlierVersionGoesOnWithCodecUp) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 1;
  SubmitTo(&world, spec);
  world.KillCoordinator();
  WriteBegunAttempt(&world, {});
  world.StartCoordinator();
  FakeClient* client = Add(&world, old_);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  ASSERT_EQ(client->assignments.size(), 1u);
  EXPECT_EQ(client->assignments[0].key.attempt, 1u) << "no work was thrown away";
  EXPECT_EQ(client->assignments[0].codec, "raw_f32");
}

TEST_F(CodecChoice, AnAttemptInACodecOfALaterVersionIsBegunAnew) {
  TestWorld world;
  world.StartCoordinator();
  JobSpec spec = world.Spec(1);
  spec.rounds = 1;
  SubmitTo(&world, spec);
  world.KillCoordinator();
  WriteBegunAttempt(&world, {"telepathy:bits=0"});
  world.StartCoordinator();
  FakeClient* client = Add(&world, old_);
  const JobView job = world.RunToEnd("job-1");
  EXPECT_EQ(job.state, JobState::kCompleted) << job.reason;
  EXPECT_EQ(job.rounds.at(0).key.attempt, 2u);
  EXPECT_TRUE(world.Logged("unknown codec"));
  EXPECT_EQ(client->assignments.back().key.attempt, 2u);
}

}  // namespace
}  // namespace fedwatt::testing
