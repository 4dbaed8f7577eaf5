// What a selector gets to see of the clients that wait, and what its probabilities do to weights.

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/driver/test_world.h"

namespace fedwatt::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Takes all who wait and remembers what it saw of them, by device class, for names are pseudonyms.
// Probabilities, if it has any, are the capacity's bucket in eighths.
class Spy final : public Selector {
 public:
  Spy(std::vector<std::map<std::string, Candidate>>* seen, std::optional<double> unbiased,
      std::map<std::string, double>* surplus, const std::function<void()>* meanwhile)
      : seen_(seen), unbiased_(unbiased), surplus_(surplus), meanwhile_(meanwhile) {}

  absl::StatusOr<Selection> Select(const SelectionRequest& request, Rng&) override {
    Selection selection;
    auto& round = seen_->emplace_back();
    if (surplus_ != nullptr) *surplus_ = request.surplus_watts;
    if (*meanwhile_) (*meanwhile_)();
    for (size_t i = 0; i < request.candidates.size(); ++i) {
      const Candidate& candidate = request.candidates[i];
      round[candidate.device_class] = candidate;
      selection.chosen.push_back(i);
      if (unbiased_) selection.inclusion.push_back(*candidate.telemetry.capacity / 8.0);
    }
    return selection;
  }
  std::optional<double> UnbiasedClip() const override { return unbiased_; }

 private:
  std::vector<std::map<std::string, Candidate>>* const seen_;
  const std::optional<double> unbiased_;
  std::map<std::string, double>* const surplus_;
  const std::function<void()>* const meanwhile_;  // happens while it chooses
};

class SelectionTest : public ::testing::Test {
 protected:
  void Start(std::optional<double> unbiased = std::nullopt) {
    world_.plugins.selectors["spy"] = [this, unbiased](const PluginSpec&) {
      return std::make_unique<Spy>(&seen_, unbiased, &surplus_, &meanwhile_);
    };
    world_.StartCoordinator();
  }

  JobSpec Spec(uint32_t clients, uint32_t rounds) const {
    JobSpec spec = world_.Spec(clients);
    spec.rounds = rounds;
    spec.selector = {"spy", {}};
    return spec;
  }

  FakeClient* AddDevice(const std::string& device_class, const DeviceTelemetry& telemetry,
                        uint32_t level = 1, const std::string& region = "") {
    FakeClient* const client = world_.AddClient({.name = absl::StrCat("a-", device_class)});
    client->amend = [=](CheckInRequest* request) {
      request->capabilities.device_class = device_class;
      request->capabilities.labels = {{"power_domain", "roof"}};
      if (!region.empty()) request->capabilities.labels["region"] = region;
      request->telemetry = telemetry;
      request->telemetry_level = level;
    };
    return client;
  }

  // Checks in, and hangs up while it is being chosen.
  void AddLeaver() {
    const FakeClient leaver({.name = "a-leaver"}, &world_.executor, &world_.clock);
    const auto ignored = [](const absl::StatusOr<CheckInResponse>&) {};
    const uint64_t call =
        world_.coordinator().CheckIn(leaver.principal(), leaver.Request(), ignored);
    meanwhile_ = [this, call] { world_.coordinator().CancelCheckIn(call); };
  }

  // Every coordinate of its delta is `value`, its weight and joules as given.
  static void Trains(FakeClient* client, float value, uint64_t weight, int64_t energy_uj) {
    client->train = [=](const Assignment& assignment) {
      FakeWork work = client->DefaultWork(assignment);
      for (size_t at = 0; at + sizeof(value) <= work.update.size(); at += sizeof(value)) {
        std::memcpy(work.update.data() + at, &value, sizeof(value));
      }
      work.report.weight = weight;
      work.report.metrics.steps = 10;
      work.report.metrics.seconds_by_phase = {{"train", 5}};
      work.report.energy[0].energy_uj = energy_uj;
      work.report.energy[0].coverage = 1;
      return work;
    };
  }

  float FirstWeight(const ModelRef& model) {
    const auto file = world_.blobs->Open(model.sha256);
    float value = 0;
    std::memcpy(&value, (*file)->bytes().data(), sizeof(value));
    return value;
  }

  std::vector<std::map<std::string, Candidate>> seen_;
  std::map<std::string, double> surplus_;  // of the last selection
  std::function<void()> meanwhile_;
  TestWorld world_;
};

TEST_F(SelectionTest, TelemetryIsSeenAsFarAsTheClientConsents) {
  Start();
  const DeviceTelemetry told = {false, 5, 3, 2, 1};
  AddDevice("phone", told, 1);
  AddDevice("shy", told, 0);
  world_.RunToEnd(world_.Submit(Spec(2, 1)).id);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_EQ(seen_[0].at("phone").telemetry, told);
  EXPECT_EQ(seen_[0].at("shy").telemetry, DeviceTelemetry());
  EXPECT_EQ(seen_[0].at("phone").power_domain, "roof");
  EXPECT_FALSE(seen_[0].at("phone").carbon_g_per_kwh) << "nobody told";
}

TEST_F(SelectionTest, AndAsFarAsTheJobAsks) {
  Start();
  AddDevice("phone", {false, 5, 3, 2, 1});
  JobSpec spec = Spec(1, 1);
  spec.telemetry_level = 0;
  world_.RunToEnd(world_.Submit(spec).id);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_EQ(seen_[0].at("phone").telemetry, DeviceTelemetry());
}

TEST_F(SelectionTest, WhatWorkCostIsWhatItWillCost) {
  Start();
  Trains(AddDevice("phone", {}), 0.5f, 100, 40'000'000);
  Trains(AddDevice("server", {}), 0.5f, 100, 900'000'000);
  world_.RunToEnd(world_.Submit(Spec(2, 3)).id);
  ASSERT_THAT(seen_, SizeIs(3));
  EXPECT_EQ(seen_[0].at("phone").cost->basis, CostBasis::kDefault);
  EXPECT_GT(seen_[0].at("phone").cost->joules, 0) << "unknown is not free";
  const CostPrediction& phone = *seen_[2].at("phone").cost;
  EXPECT_EQ(phone.basis, CostBasis::kOwnHistory);
  EXPECT_NEAR(phone.joules, 40, 1e-4);
  EXPECT_NEAR(phone.seconds, 5, 1e-4);
  EXPECT_NEAR(seen_[2].at("server").cost->joules, 900, 1e-3);
}

TEST_F(SelectionTest, PredictionsAreTheSameAfterARestart) {
  Start();
  FakeClient* const phone = AddDevice("phone", {});
  FakeClient* const server = AddDevice("server", {});
  Trains(phone, 0.5f, 100, 40'000'000);
  Trains(server, 0.5f, 100, 900'000'000);
  phone->train_ms = server->train_ms = 1000;
  const std::string job = world_.Submit(Spec(2, 6)).id;
  while (seen_.size() < 3) world_.RunFor(50);
  world_.KillCoordinator();
  seen_.clear();
  Start();
  world_.RunToEnd(job);
  ASSERT_GE(seen_.size(), 1u);
  const CostPrediction& cost = *seen_.back().at("phone").cost;
  EXPECT_EQ(cost.basis, CostBasis::kOwnHistory);
  EXPECT_NEAR(cost.joules, 40, 1e-4);
  EXPECT_EQ(seen_.back().at("phone").participations, 5u);
}

// A client says where it is. What it says is looked up among what the operator listed, no more.
TEST_F(SelectionTest, RegionsThatClientsNameHaveFiguresOnlyIfTheOperatorListedThem) {
  ASSERT_TRUE(world_.carbon->AllowClientRegions({"FR"}).ok());
  Start();
  AddDevice("phone", {}, 1, "FR");
  AddDevice("tablet", {}, 1, "PL");
  AddDevice("laptop", {}, 1, std::string(60, 'x'));
  AddDevice("server", {}, 1, "DE");
  world_.RunToEnd(world_.Submit(Spec(4, 1)).id);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_EQ(seen_[0].at("phone").carbon_g_per_kwh, 56);
  EXPECT_EQ(seen_[0].at("server").carbon_g_per_kwh, 381) << "the coordinator's own";
  EXPECT_FALSE(seen_[0].at("tablet").carbon_g_per_kwh);
  EXPECT_FALSE(seen_[0].at("laptop").carbon_g_per_kwh);
  EXPECT_FALSE(world_.carbon->FiguresOfClients(world_.clock.NowMs()).contains("PL"));
}

// The world's average is direct CO2, the table's countries are life cycles: not to be compared.
TEST_F(SelectionTest, FiguresOfAnotherKindThanTheJobsAreNotShown) {
  ASSERT_TRUE(world_.carbon->AllowClientRegions({"FR", "XX"}).ok());
  Start();
  AddDevice("phone", {}, 1, "FR");
  AddDevice("tablet", {}, 1, "XX");
  world_.RunToEnd(world_.Submit(Spec(2, 1)).id);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_TRUE(seen_[0].at("phone").carbon_g_per_kwh);
  EXPECT_FALSE(seen_[0].at("tablet").carbon_g_per_kwh);
}

TEST_F(SelectionTest, SelectorsSeeTheSurplusThatHoldsNow) {
  const std::string path = absl::StrCat(world_.dir(), "/surplus.csv");
  ASSERT_TRUE(WriteFileAtomic(path,
                              "time,domain,watts\n2026-01-01T00:00:00Z,roof,120\n"
                              "2026-01-01T01:00:00Z,roof,40\n")
                  .ok());
  ASSERT_TRUE(world_.carbon->ReadSurplus(path).ok());
  Start();
  AddDevice("phone", {});
  world_.RunToEnd(world_.Submit(Spec(1, 1)).id);
  EXPECT_EQ(surplus_, (std::map<std::string, double>{{"roof", 120}}));
  world_.RunFor(3'600'000);
  world_.RunToEnd(world_.Submit(Spec(1, 1)).id);
  EXPECT_EQ(surplus_, (std::map<std::string, double>{{"roof", 40}}));
}

// Four phones need 40 J for their work. In the last round one claims next to nothing, another a
// million times as much: neither moves far from its class, in what is booked and in what is
// expected of it.
TEST_F(SelectionTest, ClaimsThatAreFarOffAreBoundedBothWays) {
  Start();
  std::vector<FakeClient*> phones;
  for (int i = 0; i < 4; ++i) {
    phones.push_back(world_.AddClient({.name = absl::StrCat("phone-", i)}));
    phones.back()->amend = [](CheckInRequest* request) {
      request->capabilities.device_class = "phone";
    };
    const int64_t lie_uj = i == 0 ? 1 : i == 1 ? 40'000'000'000'000 : 40'000'000;
    phones.back()->train = [client = phones.back(), lie_uj](const Assignment& assignment) {
      FakeWork work = client->DefaultWork(assignment);
      work.report.metrics.steps = 10;
      work.report.metrics.seconds_by_phase = {{"train", 5}};
      work.report.energy[0].energy_uj = assignment.key.round == 3 ? lie_uj : 40'000'000;
      work.report.energy[0].coverage = 1;
      return work;
    };
  }
  JobSpec spec = Spec(4, 3);
  spec.plan.local_epochs = 0;
  spec.plan.local_steps = 10;
  const JobView job = world_.RunToEnd(world_.Submit(spec).id);
  EXPECT_EQ(job.budget.raised, 1u);
  EXPECT_EQ(job.budget.capped, 1u);
  EXPECT_TRUE(world_.Logged("a report's claim is not believed"));
  std::vector<double> last_joules;
  const std::vector<ClientHistory> known = *world_.disk->LoadHistory("job-1");
  for (const ClientHistory& history : known) {
    last_joules.push_back(10 * history.cost.joules.values().back());
  }
  std::sort(last_joules.begin(), last_joules.end());
  ASSERT_THAT(last_joules, SizeIs(4));
  EXPECT_GE(last_joules[0], 40.0 / 8);
  EXPECT_NEAR(last_joules[1], 40, 1e-3);
  EXPECT_NEAR(last_joules[2], 40, 1e-3);
  EXPECT_NEAR(last_joules[3], 320, 1e-3);
  std::vector<int64_t> booked;
  const std::vector<BudgetEntry> entries = *world_.disk->LoadReservations("job-1");
  for (const BudgetEntry& entry : entries) {
    if (entry.reservation.round == 3) booked.push_back(entry.booked->uj / 1'000'000);
  }
  std::sort(booked.begin(), booked.end());
  EXPECT_GE(booked[0], 5);
  EXPECT_EQ(booked[3], 320);
  EXPECT_EQ(job.energy[0].useful_uj / 1'000'000, 40'000'000 + 40 * 10)
      << "the ledger keeps what was said";
}

// Of probabilities 1/2 and 1/8 the rare one weighs four times as much: (1 * 100 * 0 + 4 * 100 * 1)
// / (100 + 400).
TEST_F(SelectionTest, AnUnbiasedJobWeighsByInverseProbability) {
  Start(/*unbiased=*/10);
  FakeClient* const often = AddDevice("often", {true, {}, 4, {}, {}});
  FakeClient* const rare = AddDevice("rare", {true, {}, 1, {}, {}});
  Trains(often, 0, 100, 1);
  Trains(rare, 1, 100, 1);
  const JobView view = world_.RunToEnd(world_.Submit(Spec(2, 1)).id);
  ASSERT_EQ(view.state, JobState::kCompleted) << view.reason;
  EXPECT_NEAR(FirstWeight(view.last), 0.8, 1e-6);
  EXPECT_EQ(often->assignments.at(0).weight_multiplier, 0.25);
  EXPECT_EQ(rare->assignments.at(0).weight_multiplier, 1);
}

TEST_F(SelectionTest, TheClipBoundsTheRatio) {
  Start(/*unbiased=*/2);
  Trains(AddDevice("often", {true, {}, 4, {}, {}}), 0, 100, 1);
  Trains(AddDevice("rare", {true, {}, 1, {}, {}}), 1, 100, 1);
  const JobView view = world_.RunToEnd(world_.Submit(Spec(2, 1)).id);
  EXPECT_NEAR(FirstWeight(view.last), 2.0 / 3, 1e-6);
}

TEST_F(SelectionTest, ARestartKeepsTheProbabilitiesOfTheRoundInFlight) {
  Start(/*unbiased=*/10);
  FakeClient* const often = AddDevice("often", {true, {}, 4, {}, {}});
  FakeClient* const rare = AddDevice("rare", {true, {}, 1, {}, {}});
  Trains(often, 0, 100, 1);
  Trains(rare, 1, 100, 1);
  often->train_ms = 1000;
  rare->train_ms = 20'000;
  const std::string job = world_.Submit(Spec(2, 1)).id;
  world_.RunFor(5000);
  world_.KillCoordinator();
  Start(/*unbiased=*/10);
  const JobView view = world_.RunToEnd(job);
  ASSERT_EQ(view.state, JobState::kCompleted) << view.reason;
  EXPECT_NEAR(FirstWeight(view.last), 0.8, 1e-6);
  EXPECT_THAT(seen_, SizeIs(1)) << "selected once";
}

TEST_F(SelectionTest, WithoutProbabilitiesUnbiasedIsRefusedAtSubmission) {
  Start();
  JobSpec spec = Spec(1, 1);
  spec.selector = {"oort", {{"unbiased", 10}}};
  const auto job = world_.coordinator().SubmitJob(spec, world_.AddBundle(), "");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(job.status().message()),
              HasSubstr("selector \"oort\" defines no inclusion probabilities"));
}

TEST_F(SelectionTest, AClientThatLeavesWhileItIsChosenIsWaitedForNotAFailure) {
  Start();
  AddDevice("phone", {});
  AddLeaver();
  JobSpec spec = Spec(2, 1);
  spec.round.max_attempts = 1;
  const std::string job = world_.Submit(spec).id;
  world_.RunFor(10'000);
  EXPECT_THAT(seen_, SizeIs(1)) << "one is not enough to ask again";
  AddDevice("tablet", {});
  const JobView view = world_.RunToEnd(job);
  ASSERT_EQ(view.state, JobState::kCompleted) << view.reason;
  EXPECT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(view.rounds, SizeIs(1));
  EXPECT_EQ(view.rounds[0].assigned, 2u);
}

TEST_F(SelectionTest, AndNoLongerThanTheTimeoutOfSelection) {
  Start();
  AddDevice("phone", {});
  AddLeaver();
  JobSpec spec = Spec(2, 1);
  spec.round.max_attempts = 1;
  const JobView view = world_.RunToEnd(world_.Submit(spec).id);
  EXPECT_EQ(view.state, JobState::kFailed);
  EXPECT_THAT(view.reason, HasSubstr("selection timed out with 1 eligible clients waiting"));
}

TEST_F(SelectionTest, ARoundThatNobodyCanAffordSaysWhy) {
  Start();
  AddDevice("phone", {false, 0, 3, {}, {}});
  JobSpec spec = Spec(1, 1);
  spec.selector = {"joule", {}};
  spec.round.max_attempts = 1;
  const JobView view = world_.RunToEnd(world_.Submit(spec).id);
  EXPECT_EQ(view.state, JobState::kFailed);
  EXPECT_THAT(view.reason, HasSubstr("1 at or below selector.params.battery_floor"));
}

}  // namespace
}  // namespace fedwatt::testing
