#include "server/cli/report_data.h"

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/cli/job_text.h"
#include "server/cli/report_words.h"
#include "tests/server/cli/report_fixture.h"

namespace fedwatt::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

std::string Joined(const std::vector<std::string>& sentences) {
  std::string all;
  for (const std::string& sentence : sentences) all += sentence + "\n";
  return all;
}

TEST(ArrangeReport, KeepsWhatDiffersInSourceQualityScopeOrPartyApart) {
  const auto answer = Parse<v1::QueryEnergyResponse>(R"pb(
    sums {
      party: "clients"
      source: "rapl"
      quality: ENERGY_QUALITY_MEASURED
      scope: ENERGY_SCOPE_PACKAGE
      use: "useful"
      round: 1
      energy_uj: 1000000
      samples: 1
    }
    sums {
      party: "clients"
      source: "rapl"
      quality: ENERGY_QUALITY_DERIVED
      scope: ENERGY_SCOPE_PACKAGE
      use: "useful"
      round: 1
      energy_uj: 2000000
      samples: 1
    }
    sums {
      party: "clients"
      source: "rapl"
      quality: ENERGY_QUALITY_MEASURED
      scope: ENERGY_SCOPE_BOARD
      use: "useful"
      round: 1
      energy_uj: 3000000
      samples: 1
    }
    sums {
      party: "coordinator"
      source: "rapl"
      quality: ENERGY_QUALITY_MEASURED
      scope: ENERGY_SCOPE_PACKAGE
      use: "useful"
      round: 1
      energy_uj: 4000000
      samples: 1
    }
    sums {
      party: "clients"
      source: "rapl"
      quality: ENERGY_QUALITY_MEASURED
      scope: ENERGY_SCOPE_PACKAGE
      use: "wasted"
      round: 2
      energy_uj: 500000
      samples: 1
    })pb");
  const ReportData report = ArrangeReport(v1::Job(), {.by_round = answer});
  ASSERT_EQ(report.kinds.size(), 4u);
  EXPECT_EQ(KindText(report.kinds[0].kind), "measured (rapl, package)");
  EXPECT_EQ(report.kinds[0].total.useful_j, 1);
  EXPECT_EQ(report.kinds[0].total.wasted_j, 0.5);
  EXPECT_EQ(KindText(report.kinds[1].kind), "measured (rapl, board)");
  EXPECT_EQ(KindText(report.kinds[2].kind), "derived (rapl, package)");
  EXPECT_EQ(KindText(report.kinds[3].kind), "coordinator, measured (rapl, package)");
  EXPECT_EQ(report.kinds[3].total.joules(), 4);
}

TEST(ArrangeReport, WithoutALedgerTakesTheJobsOwnTotals) {
  const ReportData report = ArrangeReport(FixedJob(10), {});
  ASSERT_EQ(report.kinds.size(), 2u);
  EXPECT_EQ(report.kinds[1].total.useful_j, 384);
  EXPECT_EQ(report.kinds[1].total.wasted_j, 10);
  EXPECT_EQ(report.kinds[1].rounds.at(4).wasted_j, 5);
  EXPECT_THAT(report.kinds[1].phases, IsEmpty());
  EXPECT_FALSE(report.has_phases);
  EXPECT_FALSE(report.has_grams);
}

TEST(ArrangeReport, UnavailableIsCountedAndNoKind) {
  const ReportData report = ArrangeReport(
      Parse<v1::Job>("energy { source: 'none' quality: ENERGY_QUALITY_UNAVAILABLE samples: 8 "
                     "unavailable: 8 }"),
      {});
  EXPECT_THAT(report.kinds, IsEmpty());
  EXPECT_EQ(report.missing_samples(), 8u);
  EXPECT_THAT(Joined(QualitySentences(report)), HasSubstr("8 samples are unavailable"));
}

TEST(ArrangeReport, GramsKeepTheirKind) {
  const auto answer = Parse<v1::QueryEnergyResponse>(R"pb(
    sums {
      party: "clients"
      source: "rapl"
      use: "useful"
      round: 1
      energy_uj: 1000000
      samples: 1
      carbon: "average lifecycle CO2e location"
      micrograms: 100
      stale_micrograms: 40
    }
    sums {
      party: "clients"
      source: "rapl"
      use: "useful"
      round: 2
      energy_uj: 1000000
      samples: 1
      carbon: "marginal direct CO2 location"
      micrograms: 300
    }
    sums { party: "clients" source: "rapl" use: "useful" round: 3 energy_uj: 700000 samples: 1 }
  )pb");
  const ReportData report = ArrangeReport(v1::Job(), {.by_round = answer});
  ASSERT_EQ(report.kinds.size(), 1u);
  const auto& grams = report.kinds[0].grams;
  ASSERT_EQ(grams.size(), 2u);
  EXPECT_DOUBLE_EQ(grams.at("average lifecycle CO2e location").total_g, 1e-4);
  EXPECT_DOUBLE_EQ(grams.at("average lifecycle CO2e location").stale_g, 4e-5);
  EXPECT_DOUBLE_EQ(grams.at("marginal direct CO2 location").total_g, 3e-4);
  EXPECT_DOUBLE_EQ(report.kinds[0].without_grams_j, 0.7);
}

TEST(ArrangeReport, ClientsAreSortedAndTheForgottenAreNoClient) {
  const auto answer = Parse<v1::QueryEnergyResponse>(R"pb(
    sums { party: "clients" source: "m" use: "useful" client: "b" energy_uj: 9000000 samples: 1 }
    sums { party: "clients" source: "m" use: "useful" client: "a" energy_uj: 2000000 samples: 1 }
    sums { party: "clients" source: "m" use: "wasted" client: "a" energy_uj: 1000000 samples: 1 }
    sums { party: "clients" source: "m" use: "useful" client: "" energy_uj: 70000000 samples: 9 }
    sums { party: "clients" source: "m" use: "useful" client: "c" samples: 1 unavailable: 1 }
    sums { party: "coordinator" source: "m" use: "useful" energy_uj: 1 samples: 1 })pb");
  const ReportData report = ArrangeReport(v1::Job(), {.by_client = answer, .by_round = answer});
  EXPECT_EQ(report.devices, 3u);
  const auto& clients = report.kinds[0].clients;
  ASSERT_EQ(clients.size(), 2u);
  EXPECT_EQ(clients[0].client, "a");
  EXPECT_EQ(clients[0].spent.joules(), 3);
  EXPECT_EQ(clients[1].client, "b");
}

TEST(Spread, OfTenClients) {
  std::vector<ClientSpent> clients;
  for (int i = 1; i <= 11; ++i) {
    clients.push_back({"c", {.useful_j = static_cast<double>(i), .samples = 1}});
  }
  const Spread spread = SpreadOf(clients);
  EXPECT_EQ(spread.least, 1);
  EXPECT_EQ(spread.tenth, 2);
  EXPECT_EQ(spread.median, 6);
  EXPECT_EQ(spread.ninetieth, 10);
  EXPECT_EQ(spread.most, 11);
  EXPECT_DOUBLE_EQ(spread.top_tenth_share, 21.0 / 66) << "two of eleven";
  EXPECT_EQ(SpreadOf({}).most, 0);
}

TEST(Burndown, IsLimitMinusWhatWasBooked) {
  const std::vector<Burndown> burndowns = BurndownsOf(FixedJob(10));
  ASSERT_EQ(burndowns.size(), 1u);
  EXPECT_EQ(burndowns[0].limit, 1000);
  EXPECT_EQ(burndowns[0].booked, 600);
  EXPECT_EQ(burndowns[0].left.at(1), 940);
  EXPECT_EQ(burndowns[0].left.at(10), 400);
  EXPECT_THAT(OtherLimits(FixedJob(10)), ElementsAre("joules_per_client = 250"));
  EXPECT_THAT(BurndownsOf(v1::Job()), IsEmpty());
}

TEST(Metric, HeldOutAndClientsOwnAreTwoSeries) {
  const auto job = Parse<v1::Job>(R"pb(
    rounds {
      key { round: 1 }
      train_after { accuracy: 0.5 }
    }
    rounds {
      key { round: 2 }
      train_after { accuracy: 0.6 }
      evaluation { accuracy: 0.4 }
    }
    rounds {
      key { round: 3 }
      evaluation { named { key: "f1" value: 0.7 } }
    })pb");
  const MetricSeries accuracy = MetricOverRounds(job, "accuracy");
  EXPECT_THAT(accuracy.held_out, ElementsAre(Pair(2, 0.4)));
  EXPECT_THAT(accuracy.on_clients, ElementsAre(Pair(1, 0.5), Pair(2, 0.6)));
  EXPECT_THAT(MetricOverRounds(job, "f1").held_out, ElementsAre(Pair(3, 0.7)));
  EXPECT_TRUE(MetricOverRounds(job, "no such").empty());
}

// It is no device that gives its time and battery, and would make eight of them nine.
TEST(ArrangeReport, AnEvaluatorIsNoDevice) {
  const auto answer = Parse<v1::QueryEnergyResponse>(R"pb(
    sums { party: "clients" source: "m" use: "useful" client: "a" energy_uj: 9000000 samples: 1 }
    sums {
      party: "clients"
      source: "m"
      use: "useful"
      client: "judge"
      evaluation: true
      energy_uj: 2000000
      samples: 1
    })pb");
  v1::Job job;
  job.mutable_spec()->mutable_evaluation()->set_where("evaluator");
  const ReportData apart = ArrangeReport(job, {.by_client = answer, .by_round = answer});
  EXPECT_EQ(apart.devices, 1u);
  EXPECT_EQ(apart.kinds[0].evaluators, 1u);
  EXPECT_EQ(apart.kinds[0].clients.size(), 1u);
  EXPECT_EQ(apart.kinds[0].total.joules(), 11) << "its joules are the job's all the same";
  EXPECT_THAT(Joined(QualitySentences(apart)), HasSubstr("on 1 of 1 device and 1 evaluator"));
  job.mutable_spec()->mutable_evaluation()->set_where("clients");
  const ReportData together = ArrangeReport(job, {.by_client = answer, .by_round = answer});
  EXPECT_EQ(together.devices, 2u);
  EXPECT_EQ(together.kinds[0].evaluators, 0u);
}

TEST(Quality, ClaimsThatAreNotBelievedAreSaid) {
  v1::Job job = FixedJob(10);
  EXPECT_THAT(Joined(QualitySentences(ArrangeReport(job, FixedLedger(10)))),
              Not(HasSubstr("not believed")));
  job.mutable_budget()->set_raised(3);
  job.mutable_budget()->set_capped(1);
  EXPECT_THAT(Joined(QualitySentences(ArrangeReport(job, FixedLedger(10)))),
              HasSubstr("Claims not believed: 3 below what their class needs at least, booked at "
                        "that; 1 above what their class can spend"));
}

TEST(Quality, SaysWhoMeasuredWhoEstimatedAndWhatIsMissing) {
  const std::string text = Joined(QualitySentences(ArrangeReport(FixedJob(10), FixedLedger(10))));
  EXPECT_THAT(text, HasSubstr("394.0 J were estimated from processor time, of the process "
                              "alone, on 8 of 8 devices"));
  EXPECT_THAT(text, HasSubstr("128.0 J were derived from what rapl measured of the machine, by the "
                              "share of processor time, of the process alone, on 3 of 8"));
  EXPECT_THAT(text, HasSubstr("never added"));
  EXPECT_THAT(text, HasSubstr("8 samples are unavailable and counted nowhere as zero"));
  EXPECT_THAT(text, Not(HasSubstr("No device has a meter")));
}

TEST(Quality, OfEstimatesAloneWarns) {
  const auto job = Parse<v1::Job>(
      "energy { source: 'cpu_time' quality: ENERGY_QUALITY_ESTIMATED scope: ENERGY_SCOPE_PROCESS "
      "useful_uj: 385000000 samples: 8 }");
  const std::string text = Joined(QualitySentences(ArrangeReport(job, {})));
  EXPECT_THAT(text, HasSubstr("No device has a meter that it can read"));
  EXPECT_THAT(text, Not(HasSubstr("never added"))) << "there is one kind";
}

TEST(Words, NumbersKeepTheirUnit) {
  EXPECT_EQ(JoulesText(0), "0.00 J");
  EXPECT_EQ(JoulesText(0.00048), "0.48 mJ");
  EXPECT_EQ(JoulesText(1.234), "1.23 J");
  EXPECT_EQ(JoulesText(385.04), "385.0 J");
  EXPECT_EQ(JoulesText(12'300), "12.30 kJ");
  EXPECT_EQ(JoulesText(2.5e6), "2.50 MJ");
  EXPECT_EQ(JoulesText(-12'300), "-12.30 kJ");
  EXPECT_EQ(GramsText(0.00048), "0.48 mg");
  EXPECT_EQ(GramsText(12'300'000), "12300.00 kg");
  EXPECT_EQ(JoulesTick(0), "0");
  EXPECT_EQ(JoulesTick(0.002), "2 mJ");
  EXPECT_EQ(JoulesTick(1500), "1.5 kJ");
  EXPECT_EQ(GramsTick(250), "250 g");
  EXPECT_EQ(TimeText(0), "-");
  EXPECT_EQ(TimeText(1'790'000'000'000), "2026-09-21 14:13:20 UTC");
}

TEST(Words, ControlCharactersAreHarmless) {
  EXPECT_EQ(Harmless("a\x1b[2Jb\nc\x7f"), "a?[2Jb?c?");
  EXPECT_EQ(Harmless("\xc2\x9b"
                     "31m \xc3\xa9"),
            "?31m \xc3\xa9");
}

TEST(Inference, ComparesEachKindOrSaysThatItIsNotGiven) {
  const ReportData report = ArrangeReport(FixedJob(10), {});
  EXPECT_THAT(Joined(InferenceSentences(report, 0.02)),
              HasSubstr("394.0 J of training, estimated (cpu_time, process), are as much as 19700 "
                        "inferences"));
  EXPECT_THAT(Joined(InferenceSentences(report, std::nullopt)), HasSubstr("Not given"));
}

TEST(CodecText, IsSortedAndCountsWhereThereAreSeveral) {
  const auto round = Parse<v1::RoundSummary>(
      "codecs { key: 'raw_f32' value: 1 } codecs { key: 'eden:bits=2' value: 7 }");
  EXPECT_EQ(CodecText(round.codecs()), "eden:bits=2 x7, raw_f32 x1");
  EXPECT_EQ(CodecText(Parse<v1::RoundSummary>("codecs { key: 'raw_f32' value: 3 }").codecs()),
            "raw_f32");
  EXPECT_EQ(CodecText(v1::RoundSummary().codecs()), "-");
}

}  // namespace
}  // namespace fedwatt::cli
