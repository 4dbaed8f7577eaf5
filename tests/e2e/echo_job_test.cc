// A job as a user runs it, and what its report says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/model/job_spec.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kParameters = 200'000;
constexpr uint32_t kRounds = 3;
constexpr uint32_t kClients = 4;

// The report of `fedwatt run`, or a null value.
nlohmann::json RunEchoJob(Deployment& fleet, const std::string& codec) {
  fleet.WriteBundle({.parameters = kParameters});
  EXPECT_TRUE(fleet.StartCoordinator());
  fleet.StartClients(0, kClients);
  const std::string report = fleet.File("report.json");
  const Output run =
      fleet.Cli({"run", fleet.WriteJobFile({.rounds = kRounds, .goal = kClients, .codec = codec}),
                 "--report", report});
  EXPECT_EQ(run.code, 0) << run.ToString();
  const auto text = ReadFile(report, 1 << 20);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
}

void CheckRound(const nlohmann::json& round, uint64_t number) {
  EXPECT_EQ(round["key"]["round"], number);
  EXPECT_EQ(round["key"]["attempt"], 1);
  EXPECT_EQ(round["phase"], "committed");
  EXPECT_EQ(round["assigned"], kClients);
  EXPECT_EQ(round["reported"], kClients);
  EXPECT_EQ(round["failed"], 0);
  EXPECT_EQ(round["late"], 0);
  EXPECT_EQ(round["model"]["version"], number);
  EXPECT_GE(round["ended_ms"], round["started_ms"]);
  EXPECT_TRUE(round["seconds_by_phase"].contains("train")) << round["seconds_by_phase"];
  EXPECT_EQ(round["train_after"]["examples"], kClients * 100);
}

constexpr uint64_t kPayload = kClients * kParameters * sizeof(float);

// By source, quality and scope: microjoules, and how many samples had none.
std::map<std::string, std::pair<int64_t, uint64_t>> EnergyOf(const nlohmann::json& totals) {
  std::map<std::string, std::pair<int64_t, uint64_t>> sums;
  for (const auto& total : totals) {
    EXPECT_NE(total["source"], "");
    EXPECT_NE(total["quality"], "unspecified");
    EXPECT_NE(total["scope"], "unspecified");
    EXPECT_EQ(total["wasted_uj"], 0) << total;
    const std::string kind =
        absl::StrCat(std::string(total["source"]), "/", std::string(total["quality"]), "/",
                     std::string(total["scope"]));
    EXPECT_FALSE(sums.contains(kind)) << kind << " is there twice";
    sums[kind] = {total["useful_uj"], total["unavailable"]};
  }
  return sums;
}

TEST(EchoJob, CompletesWithAReportThatAddsUp) {
  Deployment fleet;
  const nlohmann::json report = RunEchoJob(fleet, "raw_f32");
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["state"], "completed");
  EXPECT_EQ(report["stop_reason"], "rounds");
  EXPECT_EQ(report["rounds_done"], kRounds);
  ASSERT_EQ(report["rounds"].size(), kRounds);

  uint64_t up = 0;
  uint64_t down = 0;
  std::map<std::string, std::pair<int64_t, uint64_t>> energy;
  for (uint32_t i = 0; i < kRounds; ++i) {
    const nlohmann::json& round = report["rounds"][i];
    CheckRound(round, i + 1);
    // Every client sends the whole delta and fetches the whole model.
    EXPECT_GE(round["bytes_up"], kPayload);
    EXPECT_LE(round["bytes_up"], kPayload + kPayload / 20);
    EXPECT_GE(round["bytes_down"], kPayload);
    EXPECT_LE(round["bytes_down"], kPayload + kPayload / 20);
    up += round["bytes_up"].get<uint64_t>();
    down += round["bytes_down"].get<uint64_t>();
    EXPECT_THAT(EnergyOf(round["energy"]), Not(IsEmpty()));
    for (const auto& [kind, total] : EnergyOf(round["energy"])) {
      energy[kind].first += total.first;
      energy[kind].second += total.second;
    }
    if (i > 0) {
      EXPECT_EQ(round["model"]["parent"], report["rounds"][i - 1]["model"]["sha256"]);
    }
  }
  EXPECT_EQ(report["bytes_up"], up);
  EXPECT_EQ(report["bytes_down"], down);
  EXPECT_EQ(EnergyOf(report["energy"]), energy);
  EXPECT_EQ(report["last"]["sha256"], report["rounds"][kRounds - 1]["model"]["sha256"]);
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
}

// With the default codecs, which send two bits a weight.
TEST(EchoJob, CompressesBothWays) {
  Deployment fleet;
  const nlohmann::json report = RunEchoJob(fleet, JobSpec().codec.up);
  ASSERT_TRUE(report.is_object());
  ASSERT_EQ(report["rounds"].size(), kRounds);
  for (uint32_t i = 0; i < kRounds; ++i) {
    const nlohmann::json& round = report["rounds"][i];
    CheckRound(round, i + 1);
    EXPECT_LE(round["bytes_up"], kPayload / 15) << i;
    EXPECT_GE(round["bytes_up"], kPayload / 17) << i;
    EXPECT_LE(round["bytes_down"], kPayload / 15) << i;
    EXPECT_EQ(round["codecs"], (nlohmann::json{{"eden:bits=2", kClients}}));
  }
  EXPECT_TRUE(fleet.NobodyTrainedTwice());
}

class SameModel : public testing::TestWithParam<const char*> {};

TEST_P(SameModel, AtTheEndOfTwoRuns) {
  Deployment first;
  const nlohmann::json one = RunEchoJob(first, GetParam());
  Deployment second;
  const nlohmann::json other = RunEchoJob(second, GetParam());
  ASSERT_TRUE(one.is_object() && other.is_object());
  EXPECT_EQ(std::string(one["last"]["sha256"]).size(), 64u);
  for (uint32_t i = 0; i < kRounds; ++i) {
    EXPECT_EQ(one["rounds"][i]["model"]["sha256"], other["rounds"][i]["model"]["sha256"]);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, SameModel, testing::Values("raw_f32", "eden:bits=2"),
                         [](const auto& info) { return std::string(info.param).substr(0, 3); });

}  // namespace
}  // namespace fedwatt::e2e
