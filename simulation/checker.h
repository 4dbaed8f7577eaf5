#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/store/store.h"
#include "simulation/model_replay.h"

// What must hold in every simulation, whatever goes wrong in it, looked at from outside: by what
// became durable.
//
//   each assignment is counted at most once, and in its own attempt
//   no round is committed below its least number of reports, or twice, or out of turn
//   the ledger's total is the sum of the largest claims of all assignments, by phase and meter
//   no assignment is given out past the budget (booked + reserved)
//   the committed model is what a replay of the accepted updates gives
namespace fedwatt {

// One thread.
class Checker {
 public:
  // `disk`: to compare with. `replay` may be null.
  Checker(Store* disk, std::unique_ptr<ModelReplay> replay);

  void OnDurable(const std::vector<StoreWrite>& batch);
  // What was in its memory is lost: a report may then be accepted once more, with the same update.
  void OnCoordinatorDied() { ++lives_; }
  // An update that a device sent, by its hash.
  void OnUpdate(const Digest& sha256, const std::string& bytes);
  // Once nothing happens any more.
  void Finish(const std::string& job);

  // One sentence each, at most kMost of them.
  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t replayed() const { return replayed_; }  // commits

 private:
  static constexpr size_t kMost = 20;
  struct Claim {  // one meter's, of one phase of one assignment
    std::string assignment;
    Phase phase = Phase::kTrain;
    std::string source;
    EnergyScope scope = EnergyScope::kProcess;
    auto operator<=>(const Claim&) const = default;
  };

  struct AttemptFacts {
    uint32_t min_reports = 0;
    std::vector<std::string> codecs;
    std::vector<double> inclusion;
    size_t clients = 0;
    std::map<uint32_t, ReportAccepted> accepted;
    std::map<uint32_t, uint64_t> accepted_in;  // which life of the coordinator
    bool assigned = false;
    bool ended = false;
  };

  void Break(const RoundKey& key, const std::string& what);
  void On(const AttemptBegan& record);
  void On(const ClientsAssigned& record);
  void On(const ReportAccepted& record);
  void On(const ReportRefused& record);
  void On(const CoordinatorSpent&) {}  // no device's
  void On(const AttemptAbandoned& record);
  void On(const RoundCommitted& record);
  AttemptFacts* Open(const RoundKey& key, const char* what);
  void AddSamples(const RoundKey& key, uint32_t index, const std::vector<EnergySample>& samples);
  void CheckBudget(const RoundKey& key);
  void CheckLedger(const std::string& job);

  Store* const disk_;
  const std::unique_ptr<ModelReplay> replay_;
  std::map<std::string, JobSpec> jobs_;
  std::map<RoundKey, AttemptFacts> attempts_;
  std::map<std::string, uint64_t> committed_;             // training rounds, by job
  std::set<std::pair<std::string, uint64_t>> evaluated_;  // job, round
  std::map<Claim, int64_t> claimed_uj_;                   // the largest; estimates and all
  std::vector<std::string> violations_;
  uint64_t lives_ = 1;
  uint64_t replayed_ = 0;
};

}  // namespace fedwatt
