#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/tensor/update_sketch.h"
#include "tests/server/selectors/candidates.h"

namespace fedwatt {
namespace {

std::vector<Candidate> Fleet(size_t count) {
  std::vector<Candidate> candidates(count);
  for (size_t i = 0; i < count; ++i) {
    Candidate& c = candidates[i];
    c.client = absl::StrCat("client-", 1000 + i);
    c.telemetry.charging = true;
    c.cost = CostPrediction{100, 0, 10, 0};
  }
  return candidates;
}

// The probability of each client: those of the chosen ones over enough rounds to see everybody.
std::vector<double> Inclusion(const std::vector<Candidate>& candidates, uint32_t count,
                              std::map<std::string, double> params = {}) {
  params.emplace("balance_draws", 0);
  const auto selector = *Plugins::Builtin().MakeSelector({"joule", params});
  std::vector<double> p(candidates.size());
  const auto unseen = [&p] { return std::count(p.begin(), p.end(), 0.0); };
  for (uint64_t seed = 1; unseen() > 0 && seed < 100'000; ++seed) {
    const RoundKey key{"job", 20, 1, false};
    Rng rng = RoundRng(key, seed);
    const auto selection = selector->Select({key, count, candidates}, rng);
    EXPECT_TRUE(selection.ok()) << selection.status();
    EXPECT_EQ(selection->chosen.size(), count);
    for (size_t i = 0; i < selection->chosen.size(); ++i) {
      p[selection->chosen[i]] = selection->inclusion[i];
    }
  }
  return p;
}

TEST(JouleTest, ProbabilitiesAddUpToThePlaces) {
  std::vector<Candidate> candidates = MakeCandidates(60);
  for (Candidate& c : candidates) c.telemetry.charging = true;
  for (const uint32_t count : {1u, 7u, 59u}) {
    const std::vector<double> p = Inclusion(candidates, count);
    EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), static_cast<double>(count), 1e-9);
  }
}

TEST(JouleTest, HalfTheJoulesIsTwiceTheChance) {
  std::vector<Candidate> candidates = Fleet(20);
  for (size_t i = 0; i < 10; ++i) candidates[i].cost->joules = 50;
  const std::vector<double> p =
      Inclusion(candidates, 4, {{"energy_power", 1}, {"exploration", 0.001}});
  EXPECT_NEAR(p[0] / p[15], 2, 0.01);
  const std::vector<double> square =
      Inclusion(candidates, 4, {{"energy_power", 2}, {"exploration", 0.001}});
  EXPECT_NEAR(square[0] / square[15], 4, 0.02);
}

TEST(JouleTest, APowerOfZeroLeavesUtilityOut) {
  std::vector<Candidate> candidates = Fleet(10);
  for (size_t i = 0; i < 10; ++i) {
    candidates[i].participations = 1;
    candidates[i].last_round = 19;
    candidates[i].last_loss = LossSums{100, 100, i < 5 ? 400.0 : 100.0, 50, 100};
  }
  const std::vector<double> with = Inclusion(candidates, 2, {{"utility_power", 1}});
  EXPECT_GT(with[0], 1.5 * with[9]);
  const std::vector<double> without = Inclusion(candidates, 2);
  EXPECT_NEAR(without[0], without[9], 1e-9);
}

TEST(JouleTest, WhoWaitedTwiceAsLongHasTwiceTheChance) {
  std::vector<Candidate> candidates = Fleet(20);  // in round 20
  for (size_t i = 0; i < 20; ++i) {
    candidates[i].participations = 1;
    candidates[i].last_round = i < 10 ? 16 : 12;
  }
  const std::vector<double> p =
      Inclusion(candidates, 4, {{"turn_power", 1}, {"exploration", 0.001}});
  EXPECT_NEAR(p[15] / p[0], 2, 0.01);
}

// Two groups of clients whose updates go opposite ways.
class Balance : public testing::Test {
 protected:
  Balance() : one_(kSketchSize), other_(kSketchSize) {
    one_[0] = 1;
    other_[0] = -1;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      candidates_[i].sketch = i < 10 ? one_ : other_;
    }
  }

  // Of 4 places, how many go to the first group.
  int OfTheFirst(double draws, uint64_t seed) {
    const auto selector = *Plugins::Builtin().MakeSelector({"joule", {{"balance_draws", draws}}});
    const RoundKey key{"job", 20, 1, false};
    Rng rng = RoundRng(key, seed);
    const auto selection = selector->Select({key, 4, candidates_}, rng);
    EXPECT_TRUE(selection.ok()) << selection.status();
    EXPECT_EQ(selection->chosen.size(), 4u);
    EXPECT_EQ(selection->inclusion.empty(), draws > 1);
    return static_cast<int>(
        std::ranges::count_if(selection->chosen, [](size_t i) { return i < 10; }));
  }

  UpdateSketch one_;
  UpdateSketch other_;
  std::vector<Candidate> candidates_ = Fleet(20);
};

TEST_F(Balance, ManyDrawsGiveEachGroupItsShare) {
  int uneven = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(OfTheFirst(100, seed), 2);
    if (OfTheFirst(0, seed) != 2) ++uneven;
  }
  EXPECT_GT(uneven, 5) << "by chance it is otherwise";
}

TEST_F(Balance, OfEqualSamplesTheCheaperOneTakesPart) {
  for (size_t i = 0; i < 20; ++i) candidates_[i].cost->joules = i % 10 < 5 ? 100 : 400;
  const auto selector =
      *Plugins::Builtin().MakeSelector({"joule", {{"balance_draws", 500}, {"energy_power", 0}}});
  for (Candidate& candidate : candidates_) candidate.sketch = {};
  candidates_[0].sketch = one_;
  candidates_[1].sketch = other_;
  const RoundKey key{"job", 20, 1, false};
  Rng rng = RoundRng(key, 1);
  const auto selection = selector->Select({key, 2, candidates_}, rng);
  for (const size_t i : selection->chosen) EXPECT_LT(i % 10, 5u);
}

TEST_F(Balance, WithoutSketchesEveryoneMayTakePart) {
  for (Candidate& candidate : candidates_) candidate.sketch = {};
  EXPECT_LE(OfTheFirst(100, 1), 4);
}

TEST_F(Balance, OnlyDrawsAskForSketches) {
  for (const double draws : {0.0, 1.0, 2.0}) {
    const auto selector = *Plugins::Builtin().MakeSelector({"joule", {{"balance_draws", draws}}});
    EXPECT_EQ(selector->WantsSketches(), draws > 1);
  }
  EXPECT_TRUE(NewSelector("joule")->WantsSketches()) << "as the experiment found best";
  const auto unbiased = Plugins::Builtin().MakeSelector({"joule", {{"unbiased", 10}}});
  ASSERT_TRUE(unbiased.ok()) << unbiased.status();
  EXPECT_FALSE((*unbiased)->WantsSketches());
  const auto refused =
      Plugins::Builtin().MakeSelector({"joule", {{"balance_draws", 50}, {"unbiased", 10}}});
  EXPECT_THAT(std::string(refused.status().message()), testing::HasSubstr("balance_draws = 0"));
}

TEST(JouleTest, CleanerPowerIsPreferredAndUnknownPowerIsUsual) {
  std::vector<Candidate> candidates = Fleet(10);
  for (size_t i = 0; i < 9; ++i) candidates[i].carbon_g_per_kwh = 400;
  candidates[0].carbon_g_per_kwh = 100;
  const std::vector<double> p =
      Inclusion(candidates, 2, {{"carbon_power", 1}, {"exploration", 0.001}});
  EXPECT_NEAR(p[0] / p[1], 4, 0.02);
  EXPECT_NEAR(p[9] / p[1], 1, 0.01) << "not told";
}

TEST(JouleTest, AFullerBatteryIsPreferred) {
  std::vector<Candidate> candidates = Fleet(10);
  for (size_t i = 0; i < 5; ++i) {
    candidates[i].telemetry = {false, static_cast<uint8_t>(i == 0 ? 7 : 2), 3, {}, {}};
    candidates[i].cost->joules = 4000;
  }
  const std::vector<double> p =
      Inclusion(candidates, 2, {{"energy_power", 0}, {"battery_power", 1}});
  EXPECT_GT(p[0], 1.5 * p[1]);
}

TEST(JouleTest, TheExplorationFloorHoldsForTheWorst) {
  std::vector<Candidate> candidates = Fleet(50);
  candidates[3].cost = CostPrediction{1e8, 0, 1e6, 0};
  for (const double floor : {0.05, 0.5}) {
    const std::vector<double> p = Inclusion(candidates, 5, {{"exploration", floor}});
    EXPECT_GE(p[3], floor * 5 / 50 * 0.999);
    EXPECT_LT(p[3], p[4]);
  }
}

// A claim of nearly no joules, or of figures that cannot be, moves a chance by a bounded factor,
// the same for every power.
TEST(JouleTest, NoClaimBuysAPlace) {
  for (const double power : {1.0, 2.0, 8.0}) {
    for (const double claim : {0.0, 1e-30, 1e15, -5.0, std::numeric_limits<double>::quiet_NaN()}) {
      std::vector<Candidate> candidates = Fleet(200);
      candidates[3].cost->joules = claim;
      const std::vector<double> p =
          Inclusion(candidates, 4, {{"energy_power", power}, {"exploration", 0.001}});
      EXPECT_LE(p[3] / p[4], 32.2) << claim;
      EXPECT_GE(p[3] / p[4], 1 / 32.2) << claim;
    }
  }
}

// Over many seeded draws each client's count is within its binomial bounds: the greatest of the
// normalised deviations of 40 clients stays below 4.5 (probability 3e-4 by chance, and seeds are
// fixed).
TEST(JouleTest, EmpiricalInclusionIsThePromisedOne) {
  constexpr int kRounds = 20'000;
  std::vector<Candidate> candidates = MakeCandidates(40);
  for (Candidate& c : candidates) c.telemetry.charging = true;
  const std::vector<double> p = Inclusion(candidates, 6);
  const auto selector = *Plugins::Builtin().MakeSelector({"joule", {{"balance_draws", 0}}});
  std::vector<double> drawn(candidates.size());
  for (int i = 0; i < kRounds; ++i) {
    const RoundKey key{"job", 20, 1, false};
    Rng rng = RoundRng(key, 1'000'000 + static_cast<uint64_t>(i));
    const auto selection = selector->Select({key, 6, candidates}, rng);
    for (const size_t c : selection->chosen) ++drawn[c];
  }
  double chi_square = 0;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const double variance = kRounds * p[i] * (1 - p[i]);
    if (variance < 1e-9) {
      EXPECT_EQ(drawn[i], kRounds * p[i]);
      continue;
    }
    const double z = (drawn[i] - kRounds * p[i]) / std::sqrt(variance);
    EXPECT_LT(std::abs(z), 4.5) << candidates[i].client;
    chi_square += z * z;
  }
  // Of 40 correlated squares the mean is 40; three times that is out of reach of chance.
  EXPECT_LT(chi_square, 120);
}

// What the probabilities are for: weighing by 1/p gives the mean of the whole fleet.
TEST(JouleTest, WeighingByInverseProbabilityIsUnbiased) {
  constexpr int kRounds = 20'000;
  std::vector<Candidate> candidates = Fleet(30);
  double mean = 0;
  const auto value = [](size_t i) { return static_cast<double>(i * i % 17); };
  for (size_t i = 0; i < candidates.size(); ++i) {
    // Cheap clients have small values: an unweighted mean is far off.
    candidates[i].cost->joules = 20 + 30 * value(i);
    mean += value(i) / 30;
  }
  const auto selector = *Plugins::Builtin().MakeSelector(
      {"joule", {{"balance_draws", 0}, {"energy_power", 1}, {"exploration", 0.2}}});
  double weighed = 0;
  double plain = 0;
  for (int round = 0; round < kRounds; ++round) {
    const RoundKey key{"job", 20, 1, false};
    Rng rng = RoundRng(key, static_cast<uint64_t>(round));
    const auto selection = selector->Select({key, 6, candidates}, rng);
    for (size_t i = 0; i < selection->chosen.size(); ++i) {
      weighed += value(selection->chosen[i]) / selection->inclusion[i] / 30 / kRounds;
      plain += value(selection->chosen[i]) / 6 / kRounds;
    }
  }
  EXPECT_NEAR(weighed, mean, 0.01 * mean);
  EXPECT_LT(plain, 0.8 * mean) << "else this test shows nothing";
}

}  // namespace
}  // namespace fedwatt
