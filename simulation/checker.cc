#include "simulation/checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

// A meter. Of one upload a report may have an estimate and the next a measurement, so qualities are
// taken together here.
using MeterKey = std::pair<std::string, EnergyScope>;

}  // namespace

Checker::Checker(Store* disk, std::unique_ptr<ModelReplay> replay)
    : disk_(disk), replay_(std::move(replay)) {}

void Checker::Break(const RoundKey& key, const std::string& what) {
  if (violations_.size() < kMost) violations_.push_back(absl::StrCat(key.ToString(), ": ", what));
}

void Checker::OnUpdate(const Digest& sha256, const std::string& bytes) {
  if (replay_ != nullptr) replay_->Keep(sha256, bytes);
}

void Checker::OnDurable(const std::vector<StoreWrite>& batch) {
  for (const StoreWrite& write : batch) {
    if (const auto* const put = std::get_if<PutJob>(&write)) {
      jobs_[put->job.id] = put->job.spec;
    } else {
      std::visit([this](const auto& record) { On(record); }, std::get<AppendLog>(write).record);
    }
  }
}

Checker::AttemptFacts* Checker::Open(const RoundKey& key, const char* what) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end()) {
    Break(key, absl::StrCat(what, " of an attempt that never began"));
    return nullptr;
  }
  return &found->second;
}

void Checker::On(const AttemptBegan& record) {
  const auto [it, is_new] = attempts_.try_emplace(record.key);
  if (!is_new) Break(record.key, "the attempt began twice");
  it->second.min_reports = record.limits.min_reports;
}

void Checker::On(const ClientsAssigned& record) {
  AttemptFacts* const facts = Open(record.key, "assignments");
  if (facts == nullptr) return;
  if (std::exchange(facts->assigned, true)) Break(record.key, "clients were assigned twice");
  facts->clients = record.clients.size();
  facts->codecs = record.codecs;
  facts->inclusion = record.inclusion;
  const std::set<std::string> unique(record.clients.begin(), record.clients.end());
  if (unique.size() != record.clients.size()) {
    Break(record.key, "a client has two assignments of one attempt");
  }
  CheckBudget(record.key);
}

void Checker::CheckBudget(const RoundKey& key) {
  const auto job = jobs_.find(key.job);
  if (job == jobs_.end() || job->second.budget.joules <= 0) return;
  const auto entries = disk_->LoadReservations(key.job);
  if (!entries.ok()) return Break(key, StatusText(entries.status()));
  int64_t promised_uj = 0;
  for (const BudgetEntry& entry : *entries) {
    promised_uj += entry.booked ? entry.booked->uj : entry.reservation.reserved_uj();
  }
  const auto limit_uj = static_cast<int64_t>(job->second.budget.joules * 1e6);
  if (promised_uj > limit_uj) {
    Break(key, absl::StrCat("assigned past the budget: ", promised_uj,
                            " uJ are booked or reserved, the limit is ", limit_uj));
  }
}

void Checker::AddSamples(const RoundKey& key, uint32_t index,
                         const std::vector<EnergySample>& samples) {
  const std::string id = MakeAssignmentId(key, index);
  std::map<Claim, int64_t> claimed_uj;
  for (const EnergySample& sample : samples) {
    claimed_uj[{id, sample.phase, sample.source, sample.scope}] += sample.energy_uj.value_or(0);
  }
  for (const auto& [claim, uj] : claimed_uj) {
    int64_t& largest = claimed_uj_[claim];
    largest = std::max(largest, uj);
  }
}

void Checker::On(const ReportAccepted& record) {
  AttemptFacts* const facts = Open(record.key, "a report");
  if (facts == nullptr) return;
  if (facts->ended) Break(record.key, "a report was accepted after the end");
  if (record.index >= facts->clients) {
    Break(record.key,
          absl::StrCat("a report of assignment ", record.index, ", of ", facts->clients));
  }
  const auto [first, is_new] = facts->accepted.try_emplace(record.index, record);
  const bool lost = facts->accepted_in[record.index] < lives_ &&
                    first->second.report.update.sha256 == record.report.update.sha256;
  if (!is_new && !lost) {
    Break(record.key, absl::StrCat("assignment ", record.index, " was counted twice"));
  }
  facts->accepted_in[record.index] = lives_;
  AddSamples(record.key, record.index, record.report.energy);
}

void Checker::On(const ReportRefused& record) {
  AttemptFacts* const facts = Open(record.key, "a refusal");
  if (facts == nullptr) return;
  if (!record.report.has_value()) {
    // Taken back: only what was lost with a coordinator can be.
    if (facts->accepted_in[record.index] >= lives_) {
      Break(record.key, absl::StrCat("report ", record.index, " was taken back without a loss"));
    }
    facts->accepted.erase(record.index);
    return;
  }
  AddSamples(record.key, record.index, record.report->energy);
}

void Checker::On(const AttemptAbandoned& record) {
  // One that found no clients is written down at its end only.
  AttemptFacts& facts = attempts_[record.key];
  if (std::exchange(facts.ended, true)) Break(record.key, "the attempt ended twice");
}

void Checker::On(const RoundCommitted& record) {
  AttemptFacts* const facts = Open(record.key, "a commit");
  if (facts == nullptr) return;
  if (std::exchange(facts->ended, true)) Break(record.key, "the attempt ended twice");
  const size_t accepted = facts->accepted.size();
  if (accepted < facts->min_reports) {
    Break(record.key, absl::StrCat("committed with ", accepted, " reports, below its least of ",
                                   facts->min_reports));
  }
  if (record.summary.reported != accepted) {
    Break(record.key, absl::StrCat("its summary counts ", record.summary.reported, " reports, and ",
                                   accepted, " were accepted"));
  }
  if (record.key.evaluation) {
    if (!evaluated_.emplace(record.key.job, record.key.round).second) {
      Break(record.key, "the round was evaluated twice");
    }
    return;
  }
  uint64_t& last = committed_[record.key.job];
  if (record.key.round != last + 1) {
    Break(record.key, absl::StrCat("committed after round ", last));
  }
  last = record.key.round;
  if (replay_ == nullptr) return;
  const absl::Status same =
      replay_->Commit(record, facts->accepted, facts->codecs, facts->inclusion);
  if (!same.ok()) return Break(record.key, StatusText(same));
  ++replayed_;
}

void Checker::CheckLedger(const std::string& job) {
  const auto totals = disk_->EnergyTotals(job);
  if (!totals.ok()) return Break({.job = job}, StatusText(totals.status()));
  std::map<MeterKey, int64_t> booked;
  for (const EnergyTotal& total : *totals) {
    booked[{total.source, total.scope}] += total.useful_uj + total.wasted_uj;
  }
  std::map<MeterKey, int64_t> reported;
  for (const auto& [claim, uj] : claimed_uj_) {
    if (claim.assignment.substr(0, claim.assignment.find('/')) != job) continue;
    reported[{claim.source, claim.scope}] += uj;
  }
  for (const auto& [meter, uj] : reported) {
    if (booked[meter] == uj) continue;
    Break({.job = job}, absl::StrCat("the ledger has ", booked[meter], " uJ of ", meter.first,
                                     ", and ", uj, " uJ were reported"));
  }
  for (const auto& [meter, uj] : booked) {
    if (reported.contains(meter) || uj == 0) continue;
    Break({.job = job},
          absl::StrCat("the ledger has ", uj, " uJ of ", meter.first, " that nobody reported"));
  }
}

void Checker::Finish(const std::string& job) {
  const bool open = std::any_of(attempts_.begin(), attempts_.end(),
                                [](const auto& entry) { return !entry.second.ended; });
  // Samples of an attempt that has not ended are pending.
  if (!open) CheckLedger(job);
}

}  // namespace fedwatt
