#include "server/cli/ledger_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_split.h"

namespace fedwatt::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::EnergySum* AddSum(v1::QueryEnergyResponse* answer, const std::string& source) {
  v1::EnergySum* sum = answer->add_sums();
  sum->set_party("clients");
  sum->set_source(source);
  sum->set_quality(v1::ENERGY_QUALITY_MEASURED);
  sum->set_scope(v1::ENERGY_SCOPE_PACKAGE);
  sum->set_use("useful");
  sum->set_energy_uj(7'200'000);
  sum->set_sigma_uj(1'000'000);
  sum->set_samples(3);
  sum->set_duration_us(2'000'000);
  return sum;
}

// The cells of a CSV without quotes, by column.
std::map<std::string, std::string> CellsOf(const std::string& csv, size_t row) {
  const std::vector<std::string> lines = absl::StrSplit(csv, '\n');
  const std::vector<std::string> names = absl::StrSplit(lines[0], ',');
  const std::vector<std::string> cells = absl::StrSplit(lines[row], ',');
  EXPECT_EQ(names.size(), cells.size());
  std::map<std::string, std::string> by_name;
  for (size_t i = 0; i < std::min(names.size(), cells.size()); ++i) by_name[names[i]] = cells[i];
  return by_name;
}

TEST(EnergyTable, SaysWhatEachSumIsOf) {
  v1::QueryEnergyResponse answer;
  AddSum(&answer, "rapl")->set_phase(v1::PHASE_TRAIN);
  AddSum(&answer, "rapl")->set_round(3);
  AddSum(&answer, "rapl")->set_day_ms(1'767'225'600'000);
  AddSum(&answer, "rapl")->set_client("ab12");
  const std::string table = EnergyTable(answer);
  for (const char* subject : {"train", "r3", "2026-01-01", "ab12"}) {
    EXPECT_THAT(table, HasSubstr(subject));
  }
  EXPECT_THAT(table, HasSubstr("7.2"));
  EXPECT_THAT(EnergyTable({}), HasSubstr("nothing"));
}

TEST(EnergyTable, WhatIsUnknownIsADash) {
  v1::QueryEnergyResponse answer;
  v1::EnergySum* const sum = AddSum(&answer, "hwmon");
  sum->set_energy_uj(0);
  sum->set_unavailable(3);
  EXPECT_THAT(EnergyTable(answer), Not(HasSubstr(" 0 ")));
  EXPECT_THAT(EnergyCsv(answer), HasSubstr("package,,,,,,3,3,"));
}

TEST(EnergyCsv, ADevicesWordsAreNoFormulas) {
  v1::QueryEnergyResponse answer;
  AddSum(&answer, "=cmd|' /C calc'!A0");
  AddSum(&answer, "a,\"b\"");
  const std::string csv = EnergyCsv(answer);
  EXPECT_THAT(csv, HasSubstr(",'=cmd|"));
  EXPECT_THAT(csv, HasSubstr(",\"a,\"\"b\"\"\","));
}

TEST(CodeCarbonCsv, HasItsColumnsInItsUnits) {
  v1::QueryEnergyResponse answer;
  answer.mutable_job()->set_id("mnist-1");
  answer.mutable_job()->mutable_spec()->set_name("mnist");
  answer.mutable_job()->mutable_spec()->mutable_carbon()->set_region("DE");
  v1::RoundSummary* const round = answer.mutable_job()->add_rounds();
  round->mutable_key()->set_round(3);
  round->set_started_ms(1'767'225'600'000);
  round->set_ended_ms(1'767'225'610'000);
  v1::EnergySum* const sum = AddSum(&answer, "rapl");
  sum->set_round(3);
  sum->set_carbon("average lifecycle CO2e location");
  sum->set_micrograms(762);
  const auto cells = CellsOf(CodeCarbonCsv(answer), 1);
  EXPECT_EQ(cells.at("timestamp"), "2026-01-01T00:00:10Z");
  EXPECT_EQ(cells.at("project_name"), "mnist");
  EXPECT_EQ(cells.at("run_id"), "mnist-1");
  EXPECT_EQ(cells.at("experiment_id"), "r3/clients/rapl/measured/package/useful");
  EXPECT_EQ(cells.at("duration"), "10");
  EXPECT_EQ(cells.at("energy_consumed"), "2e-06");
  EXPECT_EQ(cells.at("cpu_energy"), "2e-06");
  EXPECT_EQ(cells.at("cpu_power"), "3.6");
  EXPECT_EQ(cells.at("emissions"), "7.62e-07");
  EXPECT_EQ(cells.at("emissions_rate"), "7.62e-08");
  EXPECT_EQ(cells.at("country_iso_code"), "DE");
  for (const char* unknown :
       {"ram_energy", "gpu_energy", "country_name", "os", "longitude", "pue"}) {
    EXPECT_EQ(cells.at(unknown), "") << unknown;
  }
}

TEST(CodeCarbonCsv, WithoutAFigureThereIsNone) {
  v1::QueryEnergyResponse answer;
  v1::EnergySum* const sum = AddSum(&answer, "rapl");
  sum->set_round(1);
  sum->set_unavailable(3);
  const auto cells = CellsOf(CodeCarbonCsv(answer), 1);
  for (const char* name : {"energy_consumed", "cpu_energy", "emissions", "timestamp", "duration"}) {
    EXPECT_EQ(cells.at(name), "") << name;
  }
}

TEST(CodeCarbonCsv, ABatteryIsNeitherProcessorNorGraphics) {
  v1::QueryEnergyResponse answer;
  AddSum(&answer, "battery")->set_round(1);
  AddSum(&answer, "nvml")->set_round(1);
  const std::string csv = CodeCarbonCsv(answer);
  EXPECT_EQ(CellsOf(csv, 1).at("cpu_energy"), "");
  EXPECT_EQ(CellsOf(csv, 1).at("energy_consumed"), "2e-06");
  EXPECT_EQ(CellsOf(csv, 2).at("gpu_energy"), "2e-06");
  EXPECT_EQ(CellsOf(csv, 2).at("cpu_energy"), "");
}

}  // namespace
}  // namespace fedwatt::cli
