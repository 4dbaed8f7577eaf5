#include "tests/server/cli/report_fixture.h"

#include "absl/strings/str_cat.h"

namespace fedwatt::cli {
namespace {

constexpr int64_t kJoule = 1'000'000;
constexpr int64_t kStartMs = 1'790'000'000'000;
constexpr int64_t kRoundMs = 6'500;
constexpr int kClients = 8;
constexpr int kMetered = 3;
constexpr char kCarbon[] = "average lifecycle CO2e location";

struct Meter {
  const char* source;
  v1::EnergyQuality quality;
  v1::EnergyScope scope;
};
constexpr Meter kEstimate = {"cpu_time", v1::ENERGY_QUALITY_ESTIMATED, v1::ENERGY_SCOPE_PROCESS};
constexpr Meter kRapl = {"rapl", v1::ENERGY_QUALITY_DERIVED, v1::ENERGY_SCOPE_PROCESS};
constexpr Meter kNone = {"none", v1::ENERGY_QUALITY_UNAVAILABLE, v1::ENERGY_SCOPE_PROCESS};

// The first round loads the data.
int64_t RoundUj(uint64_t round) { return round == 1 ? 60 * kJoule : 36 * kJoule; }
int64_t WastedUj(uint64_t round) { return round % 4 == 0 ? 5 * kJoule : 0; }

v1::EnergyTotal Total(const Meter& meter, int64_t useful_uj, int64_t wasted_uj, uint64_t samples) {
  v1::EnergyTotal total;
  total.set_source(meter.source);
  total.set_quality(meter.quality);
  total.set_scope(meter.scope);
  total.set_useful_uj(useful_uj);
  total.set_wasted_uj(wasted_uj);
  total.set_samples(samples);
  if (meter.quality == v1::ENERGY_QUALITY_UNAVAILABLE) total.set_unavailable(samples);
  return total;
}

v1::EnergySum* AddSum(v1::QueryEnergyResponse& answer, const Meter& meter, int64_t energy_uj,
                      const std::string& use) {
  v1::EnergySum* sum = answer.add_sums();
  sum->set_party("clients");
  sum->set_source(meter.source);
  sum->set_quality(meter.quality);
  sum->set_scope(meter.scope);
  sum->set_use(use);
  sum->set_energy_uj(energy_uj);
  sum->set_sigma_uj(energy_uj / (meter.quality == v1::ENERGY_QUALITY_ESTIMATED ? 2 : 20));
  sum->set_samples(8);
  if (meter.quality == v1::ENERGY_QUALITY_UNAVAILABLE) sum->set_unavailable(8);
  return sum;
}

void AddRound(uint64_t number, uint64_t rounds, v1::Job* job) {
  v1::RoundSummary* round = job->add_rounds();
  round->mutable_key()->set_round(number);
  round->set_phase("committed");
  round->set_assigned(number % 4 == 0 ? kClients + 1 : kClients);
  round->set_reported(kClients);
  round->set_failed(number % 4 == 0 ? 1 : 0);
  round->set_bytes_up(3'400'000);
  round->set_bytes_down(4'100'000);
  const double left = 1.0 / static_cast<double>(number);
  round->mutable_evaluation()->set_accuracy(0.8 - 0.7 * left);
  round->mutable_evaluation()->set_loss(0.6 + 1.7 * left);
  round->mutable_train_after()->set_accuracy(0.85 - 0.4 * left);
  round->mutable_train_after()->set_loss(0.5 + 0.9 * left);
  round->mutable_train_after()->set_examples(512);
  round->set_started_ms(kStartMs + static_cast<int64_t>(number - 1) * kRoundMs);
  round->set_ended_ms(round->started_ms() + kRoundMs - 400);
  round->mutable_model()->set_sha256(std::string(32, static_cast<char>(number % 100)));
  (*round->mutable_seconds_by_phase())["train"] = 19.4;
  (*round->mutable_seconds_by_phase())["download"] = 0.57;
  (*round->mutable_seconds_by_phase())["encode"] = 0.12;
  (*round->mutable_codecs())["eden:bits=2"] = kClients;
  const int64_t useful_uj = RoundUj(number);
  *round->add_energy() = Total(kEstimate, useful_uj, WastedUj(number), 32);
  *round->add_energy() = Total(kRapl, useful_uj / 3, 0, 12);
  if (number == 1) *round->add_energy() = Total(kNone, 0, 0, 8);
  const auto done = static_cast<int64_t>(number);
  const auto all = static_cast<int64_t>(rounds);
  round->set_booked_uj(done * (all * 60 * kJoule) / all);
}

}  // namespace

v1::Job FixedJob(uint64_t rounds) {
  v1::Job job;
  job.set_id("quickstart-1");
  job.mutable_spec()->set_name("quickstart");
  job.mutable_spec()->set_rounds(static_cast<uint32_t>(rounds));
  job.mutable_spec()->mutable_stop()->set_metric("accuracy");
  job.mutable_spec()->mutable_plan()->set_local_evaluation_examples(64);
  job.mutable_spec()->mutable_budget()->set_joules(100.0 * static_cast<double>(rounds));
  job.mutable_spec()->mutable_budget()->set_joules_per_client(250);
  job.mutable_spec()->mutable_targets()->set_metric(0.7);
  job.set_state(v1::JOB_STATE_COMPLETED);
  job.set_stop_reason("rounds");
  job.set_rounds_done(rounds);
  job.set_created_ms(kStartMs);
  job.set_ended_ms(kStartMs + static_cast<int64_t>(rounds) * kRoundMs);
  job.set_bytes_up(3'400'000 * rounds);
  job.set_bytes_down(4'100'000 * rounds);
  int64_t useful_uj = 0;
  int64_t wasted_uj = 0;
  for (uint64_t round = 1; round <= rounds; ++round) {
    AddRound(round, rounds, &job);
    useful_uj += RoundUj(round);
    wasted_uj += WastedUj(round);
  }
  *job.add_energy() = Total(kEstimate, useful_uj, wasted_uj, 32 * rounds);
  *job.add_energy() = Total(kRapl, useful_uj / 3, 0, 12 * rounds);
  *job.add_energy() = Total(kNone, 0, 0, 8);
  job.set_best_metric(job.rounds(static_cast<int>(rounds) - 1).evaluation().accuracy());
  job.mutable_best()->set_version(rounds);
  job.mutable_budget()->set_booked_uj(static_cast<int64_t>(rounds) * 60 * kJoule);
  return job;
}

LedgerAnswers FixedLedger(uint64_t rounds) {
  LedgerAnswers ledger{.by_phase = v1::QueryEnergyResponse(),
                       .by_client = v1::QueryEnergyResponse(),
                       .by_round = v1::QueryEnergyResponse()};
  int64_t useful_uj = 0;
  int64_t wasted_uj = 0;
  for (uint64_t round = 1; round <= rounds; ++round) {
    useful_uj += RoundUj(round);
    wasted_uj += WastedUj(round);
    for (const Meter& meter : {kEstimate, kRapl}) {
      const bool metered = meter.quality == v1::ENERGY_QUALITY_DERIVED;
      v1::EnergySum* sum =
          AddSum(*ledger.by_round, meter, RoundUj(round) / (metered ? 3 : 1), "useful");
      sum->set_round(round);
      sum->set_carbon(kCarbon);
      sum->set_micrograms(sum->energy_uj() / 10'000);
    }
    if (WastedUj(round) > 0) {
      AddSum(*ledger.by_round, kEstimate, WastedUj(round), "wasted")->set_round(round);
    }
  }
  v1::EnergySum* gap = AddSum(*ledger.by_round, kNone, 0, "useful");
  gap->set_round(1);
  const std::pair<v1::Phase, int64_t> shares[] = {
      {v1::PHASE_DOWNLOAD, 4}, {v1::PHASE_TRAIN, 88}, {v1::PHASE_ENCODE, 2}, {v1::PHASE_UPLOAD, 6}};
  for (const auto& [phase, share] : shares) {
    AddSum(*ledger.by_phase, kEstimate, useful_uj * share / 100, "useful")->set_phase(phase);
    AddSum(*ledger.by_phase, kRapl, useful_uj * share / 300, "useful")->set_phase(phase);
  }
  AddSum(*ledger.by_phase, kEstimate, wasted_uj, "wasted")->set_phase(v1::PHASE_TRAIN);
  for (int client = 0; client < kClients; ++client) {
    const std::string name = absl::StrCat("c", client, "5f3a9b2d7e10");
    const int64_t uj = useful_uj * (client + 2) / 44;
    AddSum(*ledger.by_client, kEstimate, uj, "useful")->set_client(name);
    if (client < kMetered) AddSum(*ledger.by_client, kRapl, uj, "useful")->set_client(name);
  }
  return ledger;
}

ReportView FixedView(uint64_t rounds) {
  const v1::Job job = FixedJob(rounds);
  ReportView view{.data = ArrangeReport(job, FixedLedger(rounds)),
                  .targets = TargetResults(job),
                  .joules_per_inference = 0.02};
  view.central = EstimateCentral(view.data, {});
  return view;
}

ReportView ViewOf(const v1::Job& job) {
  ReportView view{.data = ArrangeReport(job, {}), .targets = TargetResults(job)};
  view.central = EstimateCentral(view.data, {});
  return view;
}

}  // namespace fedwatt::cli
