#include "common/wire/energy_wire.h"

#include <functional>
#include <limits>

#include "common/wire/client_wire.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

v1::EnergySample Measured() {
  v1::EnergySample sample;
  sample.set_source("rapl");
  sample.set_quality(v1::ENERGY_QUALITY_MEASURED);
  sample.set_scope(v1::ENERGY_SCOPE_PACKAGE);
  sample.set_phase(v1::PHASE_TRAIN);
  sample.set_energy_uj(1'500'000);
  sample.set_sigma_uj(10);
  sample.set_coverage(1);
  sample.set_duration_us(2'000'000);
  return sample;
}

TEST(EnergyWireTest, AFigureArrives) {
  const EnergySample sample = wire::FromProto(Measured());
  EXPECT_EQ(sample.energy_uj, 1'500'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kMeasured);
  EXPECT_EQ(sample.reason, "");
}

TEST(EnergyWireTest, ZeroIsAFigure) {
  v1::EnergySample zero = Measured();
  zero.set_energy_uj(0);
  EXPECT_EQ(wire::FromProto(zero).energy_uj, 0);
}

TEST(EnergyWireTest, UnavailableHasNoFigureEvenIfOneIsSent) {
  v1::EnergySample sample = Measured();
  sample.set_quality(v1::ENERGY_QUALITY_UNAVAILABLE);
  sample.set_reason("no RAPL on this machine");
  const EnergySample got = wire::FromProto(sample);
  EXPECT_FALSE(got.energy_uj.has_value());
  EXPECT_EQ(got.reason, "no RAPL on this machine");
}

struct BadSample {
  const char* reason;
  std::function<void(v1::EnergySample*)> spoil;
};

TEST(EnergyWireTest, WhatCannotBeBecomesUnavailableWithTheReason) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const BadSample cases[] = {
      {"refused: energy_uj = -1: must be at least 0",
       [](v1::EnergySample* s) { s->set_energy_uj(-1); }},
      {"energy_uj = 9223372036854775807: must be at most 1000000000000000",
       [](v1::EnergySample* s) { s->set_energy_uj(kMax); }},
      {"sigma_uj = -1", [](v1::EnergySample* s) { s->set_sigma_uj(-1); }},
      {"machine_energy_uj = -9223372036854775808",
       [](v1::EnergySample* s) { s->set_machine_energy_uj(kMin); }},
      {"coverage = nan: must be a finite number",
       [](v1::EnergySample* s) { s->set_coverage(std::numeric_limits<double>::quiet_NaN()); }},
      {"coverage = 1.5: must be at most 1", [](v1::EnergySample* s) { s->set_coverage(1.5); }},
      {"duration_us = -1", [](v1::EnergySample* s) { s->set_duration_us(-1); }},
      {"bytes = 18446744073709551615",
       [](v1::EnergySample* s) { s->set_bytes(std::numeric_limits<uint64_t>::max()); }},
      {"quality = 0: is not one of the values 1 to 5",
       [](v1::EnergySample* s) { s->clear_quality(); }},
      {"quality = 77", [](v1::EnergySample* s) { s->set_quality(v1::EnergyQuality(77)); }},
      {"scope = 0", [](v1::EnergySample* s) { s->clear_scope(); }},
      {"phase = 9", [](v1::EnergySample* s) { s->set_phase(v1::Phase(9)); }},
      {"the sample carries no figure", [](v1::EnergySample* s) { s->clear_energy_uj(); }},
  };
  for (const BadSample& bad : cases) {
    v1::EnergySample message = Measured();
    bad.spoil(&message);
    const EnergySample sample = wire::FromProto(message);
    EXPECT_EQ(sample.quality, EnergyQuality::kUnavailable) << bad.reason;
    EXPECT_FALSE(sample.energy_uj || sample.sigma_uj || sample.machine_energy_uj) << bad.reason;
    EXPECT_EQ(sample.source, "rapl");
    EXPECT_THAT(sample.reason, HasSubstr(bad.reason));
  }
}

TEST(EnergyWireTest, OneBrokenMeterDoesNotCostTheReport) {
  v1::ReportRequest request;
  request.set_assignment_id("j/r1/a1/0");
  request.set_status(v1::REPORT_STATUS_OK);
  *request.add_energy() = Measured();
  *request.add_energy() = Measured();
  request.mutable_energy(1)->set_energy_uj(-7);
  const auto report = wire::FromProto(request);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->energy[0].energy_uj, 1'500'000);
  EXPECT_EQ(report->energy[1].quality, EnergyQuality::kUnavailable);
}

TEST(EnergyWireTest, ASourceIsAlwaysNamed) {
  v1::EnergySample sample = Measured();
  sample.clear_source();
  EXPECT_EQ(wire::FromProto(sample).source, "unnamed");
  sample.set_source(std::string(300, 'x') + "\n");
  EXPECT_EQ(wire::FromProto(sample).source.size(), 256u);
}

TEST(EnergyWireTest, EveryNameIsKnown) {
  for (int i = 1; i <= 5; ++i) {
    EXPECT_STRNE(EnergyQualityName(static_cast<EnergyQuality>(i)), "unknown");
    EXPECT_STRNE(PhaseName(static_cast<Phase>(i)), "unknown");
  }
  for (int i = 1; i <= 4; ++i) {
    EXPECT_STRNE(EnergyScopeName(static_cast<EnergyScope>(i)), "unknown");
  }
}

}  // namespace
}  // namespace fedwatt
