#include "server/ledger/energy_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace fedwatt {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

EnergySum Cell(uint64_t round, Phase phase, const std::string& source, int64_t energy_uj,
               int64_t hour = 0, const std::string& client = "") {
  EnergySum cell;
  cell.label.round = round;
  cell.label.phase = phase;
  cell.label.source = source;
  cell.label.quality = EnergyQuality::kMeasured;
  cell.label.hour = hour;
  cell.label.client = client;
  cell.figures.energy_uj = energy_uj;
  cell.figures.samples = 1;
  return cell;
}

TEST(FiguresOf, AMissingFigureIsCountedNotZero) {
  EnergySample sample;
  sample.duration_us = 7;
  sample.bytes = 9;
  const EnergyFigures figures = FiguresOf(sample, CarbonIntensity{.g_per_kwh = 100});
  EXPECT_EQ(figures, (EnergyFigures{.samples = 1, .unavailable = 1, .duration_us = 7, .bytes = 9}));
}

TEST(FiguresOf, GramsFollowFromTheIntensity) {
  EnergySample sample;
  sample.energy_uj = 10'000'000;
  sample.sigma_uj = 3;
  CarbonIntensity carbon{.g_per_kwh = 360};
  EXPECT_EQ(FiguresOf(sample, carbon).micrograms, 1000);
  EXPECT_EQ(FiguresOf(sample, carbon).stale_micrograms, 0);
  carbon.stale = true;
  EXPECT_EQ(FiguresOf(sample, carbon).stale_micrograms, 1000);
  EXPECT_EQ(FiguresOf(sample, std::nullopt).micrograms, 0);
  EXPECT_EQ(FiguresOf(sample, std::nullopt).sigma_uj, 3);
}

TEST(AddFigures, Saturates) {
  EnergyFigures sum{.energy_uj = std::numeric_limits<int64_t>::max(),
                    .samples = std::numeric_limits<uint64_t>::max()};
  AddFigures({.energy_uj = 1, .samples = 1}, &sum);
  EXPECT_EQ(sum.energy_uj, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(sum.samples, std::numeric_limits<uint64_t>::max());
}

TEST(GroupEnergy, AddsAlongOneAxis) {
  const std::vector<EnergySum> cells = {Cell(1, Phase::kTrain, "rapl", 5, 23, "a"),
                                        Cell(1, Phase::kUpload, "rapl", 1, 23, "b"),
                                        Cell(2, Phase::kTrain, "rapl", 7, 24, "a")};
  const auto by_phase = GroupEnergy(cells, EnergyAxis::kPhase, {});
  ASSERT_THAT(by_phase, SizeIs(2));
  EXPECT_EQ(by_phase[0].label.phase, Phase::kTrain);
  EXPECT_EQ(by_phase[0].figures.energy_uj, 12);
  EXPECT_EQ(by_phase[0].figures.samples, 2u);
  const auto by_round = GroupEnergy(cells, EnergyAxis::kRound, {});
  ASSERT_THAT(by_round, SizeIs(2));
  EXPECT_EQ(by_round[0].figures.energy_uj, 6);
  const auto by_day = GroupEnergy(cells, EnergyAxis::kDay, {});
  ASSERT_THAT(by_day, SizeIs(2));
  EXPECT_EQ(by_day[1].label.hour, 24);
  EXPECT_EQ(by_day[1].figures.energy_uj, 7);
  const auto by_client = GroupEnergy(cells, EnergyAxis::kClient, {});
  ASSERT_THAT(by_client, SizeIs(2));
  EXPECT_EQ(by_client[0].label.client, "a");
  EXPECT_EQ(by_client[0].figures.energy_uj, 12);
  EXPECT_THAT(GroupEnergy(cells, EnergyAxis::kSource, {}), SizeIs(1));
}

TEST(GroupEnergy, NeverAddsAcrossSourceQualityScopeUsePartyOrKindOfGrams) {
  std::vector<EnergySum> cells(7, Cell(1, Phase::kTrain, "rapl", 1));
  cells[1].label.source = "battery";
  cells[2].label.quality = EnergyQuality::kEstimated;
  cells[3].label.scope = EnergyScope::kDevice;
  cells[4].label.use = JouleUse::kWasted;
  cells[5].label.party = EnergyParty::kCoordinator;
  cells[6].label.carbon = "marginal direct CO2 location";
  for (const EnergyAxis axis : {EnergyAxis::kPhase, EnergyAxis::kClient, EnergyAxis::kRound,
                                EnergyAxis::kSource, EnergyAxis::kDay}) {
    EXPECT_THAT(GroupEnergy(cells, axis, {}), SizeIs(7));
  }
}

TEST(EnergyFilter, KeepsWhatEveryConditionAccepts) {
  std::vector<EnergySum> cells = {Cell(1, Phase::kTrain, "rapl", 1, 10, "a"),
                                  Cell(2, Phase::kTrain, "cpu_time", 2, 11, "b"),
                                  Cell(2, Phase::kUpload, "rapl", 4, 12, "a")};
  cells[2].label.use = JouleUse::kWasted;
  const auto sum = [&cells](const std::vector<std::string>& conditions) {
    EnergyFilter filter;
    for (const std::string& condition : conditions) EXPECT_TRUE(filter.Add(condition).ok());
    int64_t total = 0;
    for (const EnergySum& group : GroupEnergy(cells, EnergyAxis::kSource, filter)) {
      total += group.figures.energy_uj;
    }
    return total;
  };
  EXPECT_EQ(sum({}), 7);
  EXPECT_EQ(sum({"source=rapl"}), 5);
  EXPECT_EQ(sum({"phase=train", "source=rapl"}), 1);
  EXPECT_EQ(sum({"round=2"}), 6);
  EXPECT_EQ(sum({"use=wasted"}), 4);
  EXPECT_EQ(sum({"client=a"}), 5);
  EXPECT_EQ(sum({"quality=estimated"}), 0);
  EXPECT_EQ(sum({"party=coordinator"}), 0);
  EnergyFilter hours;
  hours.since_hour = 11;
  hours.until_hour = 12;
  EXPECT_THAT(GroupEnergy(cells, EnergyAxis::kSource, hours), SizeIs(1));
}

TEST(EnergyFilter, RefusesWhatItDoesNotKnow) {
  EnergyFilter filter;
  const std::pair<const char*, const char*> bad[] = {{"sauce=rapl", "did you mean \"source\"?"},
                                                     {"phase=training", "no phase \"training\""},
                                                     {"round=two", "is not a number"},
                                                     {"source", "is not KEY=VALUE"},
                                                     {"source=", "is not KEY=VALUE"},
                                                     {"", "is not KEY=VALUE"}};
  for (const auto& [condition, why] : bad) {
    EXPECT_THAT(std::string(filter.Add(condition).message()), HasSubstr(why)) << condition;
  }
  EXPECT_THAT(std::string(ParseEnergyAxis("phases").status().message()),
              HasSubstr("did you mean \"phase\"?"));
  EXPECT_EQ(*ParseEnergyAxis("day"), EnergyAxis::kDay);
}

TEST(HourOf, RoundsDownAlsoBeforeTheEpoch) {
  EXPECT_EQ(HourOf(3'599'999), 0);
  EXPECT_EQ(HourOf(3'600'000), 1);
  EXPECT_EQ(HourOf(-1), -1);
}

}  // namespace
}  // namespace fedwatt
