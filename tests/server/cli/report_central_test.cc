#include "server/cli/report_central.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/cli/report_fixture.h"

namespace fedwatt::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Central, RepeatsTheTrainingPhaseByRatioAndPue) {
  const ReportData report = ArrangeReport(FixedJob(10), FixedLedger(10));
  const CentralEstimate estimate = EstimateCentral(report, {.pue = 1.5, .compute_ratio = 0.5});
  ASSERT_EQ(estimate.compute.size(), 2u);
  const CentralEstimate::Compute& estimated = estimate.compute[1];
  EXPECT_EQ(estimated.kind.source, "cpu_time");
  EXPECT_TRUE(estimated.by_phase);
  EXPECT_DOUBLE_EQ(estimated.federated_j, 394) << "wasted joules were spent, too";
  EXPECT_DOUBLE_EQ(estimated.training_j, 384 * 0.88);
  EXPECT_DOUBLE_EQ(estimated.central_j, 384 * 0.88 * 0.5 * 1.5);
}

TEST(Central, WithoutPhasesTakesAllUsefulJoulesAndSaysSo) {
  const CentralEstimate estimate = EstimateCentral(ArrangeReport(FixedJob(10), {}), {.pue = 1});
  EXPECT_FALSE(estimate.compute[1].by_phase);
  EXPECT_DOUBLE_EQ(estimate.compute[1].central_j, 384);
  EXPECT_THAT(estimate.assumptions.back(), HasSubstr("for want of sums by phase"));
}

TEST(Central, DataTravelOnceAndModelsEachRound) {
  const ReportData report = ArrangeReport(FixedJob(10), FixedLedger(10));
  const CentralEstimate estimate = EstimateCentral(report, {.bytes_per_example = 785,
                                                            .examples_per_device = 600,
                                                            .link = "ethernet",
                                                            .network_j_per_byte = 1e-6});
  EXPECT_DOUBLE_EQ(estimate.upload_bytes, 8 * 600 * 785);
  EXPECT_DOUBLE_EQ(estimate.central_network_j, 8 * 600 * 785 * 1e-6);
  EXPECT_DOUBLE_EQ(estimate.federated_bytes, 75e6);
  EXPECT_DOUBLE_EQ(estimate.federated_network_j, 75);
}

TEST(Central, ARadioThatDevicesReportedIsNotCountedTwice) {
  v1::Job job = FixedJob(1);
  v1::EnergyTotal* radio = job.add_energy();
  radio->set_source("radio");
  radio->set_useful_uj(1);
  radio->set_samples(1);
  const ReportData report = ArrangeReport(job, {});
  const CentralEstimate estimate =
      EstimateCentral(report, {.link = "lte", .network_j_per_byte = 0});
  EXPECT_EQ(estimate.federated_network_j, 0);
  EXPECT_GT(estimate.central_network_j, 0);
  EXPECT_EQ(estimate.compute.size(), 2u) << "a radio trains nothing";
}

TEST(Central, ExamplesAreThoseThatClientsEvaluatedIfTheyTookAll) {
  v1::Job job = FixedJob(3);
  job.mutable_spec()->mutable_plan()->set_local_evaluation_examples(0);
  const CentralEstimate seen = EstimateCentral(ArrangeReport(job, FixedLedger(3)), {});
  EXPECT_DOUBLE_EQ(seen.upload_bytes, 8.0 * 64 * 1000);
  EXPECT_THAT(seen.assumptions[0], HasSubstr("64 examples each (as clients evaluated"));
  const CentralEstimate assumed = EstimateCentral(ArrangeReport(FixedJob(3), FixedLedger(3)), {});
  EXPECT_THAT(assumed.assumptions[0], HasSubstr("1000 examples each (assumed"));
}

TEST(Central, EveryAssumptionNamesItsFlag) {
  std::string all;
  for (const std::string& sentence :
       EstimateCentral(ArrangeReport(FixedJob(1), {}), {}).assumptions) {
    all += sentence;
  }
  for (const char* flag : {"--central-bytes-per-example", "--central-examples-per-device",
                           "--central-devices", "--central-link", "--central-network-j-per-byte",
                           "--central-pue", "--central-compute-ratio"}) {
    EXPECT_THAT(all, HasSubstr(flag));
  }
}

TEST(Central, OfNothingIsNothing) {
  const CentralEstimate estimate = EstimateCentral(ArrangeReport(v1::Job(), {}), {});
  EXPECT_THAT(estimate.compute, IsEmpty());
  EXPECT_EQ(estimate.upload_bytes, 0);
}

// (283.17 x 20 + 132.86) mW at 2.5 MB/s, (438.39 x 5 + 1288.04) mW at 0.625 MB/s.
TEST(Radio, FollowsTheModelOfHuang) {
  EXPECT_NEAR(RadioJoulesPerByte("wifi"), 5.79626 / 2.5e6, 1e-12);
  EXPECT_NEAR(RadioJoulesPerByte("lte"), 3.47999 / 0.625e6, 1e-12);
  EXPECT_EQ(RadioJoulesPerByte("ethernet"), 0);
}

TEST(Assumptions, OutOfRangeNameTheFlag) {
  EXPECT_TRUE(CheckAssumptions({}).ok());
  EXPECT_THAT(CheckAssumptions({.link = "pigeon"}).message(), HasSubstr("--central-link"));
  EXPECT_THAT(CheckAssumptions({.pue = 0.9}).message(), HasSubstr("--central-pue = 0.9"));
  EXPECT_THAT(CheckAssumptions({.bytes_per_example = -1}).message(),
              HasSubstr("--central-bytes-per-example"));
  EXPECT_THAT(
      CheckAssumptions({.network_j_per_byte = std::numeric_limits<double>::quiet_NaN()}).message(),
      HasSubstr("--central-network-j-per-byte"));
  EXPECT_THAT(
      CheckAssumptions({.compute_ratio = std::numeric_limits<double>::infinity()}).message(),
      HasSubstr("--central-compute-ratio"));
}

}  // namespace
}  // namespace fedwatt::cli
