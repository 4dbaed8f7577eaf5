#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/aggregators/aggregator.h"
#include "server/driver/attempt_board.h"
#include "server/driver/blob_references.h"
#include "server/driver/round_metrics.h"
#include "server/driver/update_fold.h"
#include "server/round/round.h"
#include "server/store/store.h"

// One attempt at one round, as its job's executor sees it: the state machine and what belongs to
// its assignments. Data only; the job driver acts.
namespace fedwatt {

using ReplyDone = absl::AnyInvocable<void(absl::StatusOr<ReportReply>)>;

// A report past the intake's checks, on its way through the round.
struct IncomingReport {
  AssignmentName name;
  Report report;                              // without inline bytes
  std::shared_ptr<const SpooledUpdate> held;  // null: the spool has it in a file
  double clip_factor = 1;
  UpdateSketch sketch;
  absl::Status verdict;  // not OK: the work is of no use, for this reason
  ReplyDone done;
};

struct AcceptedReport {
  Report report;
  double clip_factor = 1;
  bool durable = false;
  std::shared_ptr<const SpooledUpdate> held;  // until it is on its way to the sum
  int64_t at_ms = 0;                          // as the record of it says
  UpdateSketch sketch;
};

struct Attempt {
  Attempt(RoundKey key, RoundLimits limits) : round(std::move(key), limits) {}

  const RoundKey& key() const { return round.key(); }

  Round round;
  int64_t began_ms = 0;
  // ---- from the selection on
  std::vector<std::string> claimed;
  std::shared_ptr<const AttemptFacts> facts;
  std::unordered_map<std::string, uint32_t> index_by_client;
  std::vector<double> inclusion;
  std::vector<std::string> device_classes;
  bool assigned = false;  // durable: what it reserved of the budget is spent or silent
  // By index; none of an evaluation. Then in `facts`.
  std::vector<ChosenCodec> uploads;
  std::map<std::string, uint32_t> codecs;  // of `facts`: how many assignments have each
  // Of a replayed attempt: this program cannot read what its clients will send.
  absl::Status unknown_codec;
  std::string selector_state;  // after the selection
  // ---- reports
  std::optional<IncomingReport> incoming;               // of the event being stepped
  std::vector<std::optional<AcceptedReport>> accepted;  // by index
  uint32_t durable = 0;                                 // of them
  std::multimap<uint32_t, ReplyDone> repeats;           // of reports that are not durable yet
  // Accepted before a restart that lost the bytes: their clients are asked for them again.
  std::map<uint32_t, Report> sent_again;
  RoundMetrics wasted;
  uint32_t late = 0;
  std::string last_failure;  // what a client said, fit for a terminal
  std::string abandoned_because;
  // Of the coordinator: before a restart, then all of it, once it is known.
  std::vector<EnergySample> own_energy;
  int64_t own_energy_noted_us = 0;  // when that was last written down; monotonic
  bool own_energy_closed = false;   // it is all of it
  uint32_t unbelieved = 0;          // claims
  std::string over_budget;          // why the budget left too few
  // ---- the sum
  std::shared_ptr<Aggregator> aggregator;
  std::shared_ptr<FoldQueue> folds;
  uint32_t unsettled = 0;  // accepted reports that are not durable or not folded yet
  bool aggregate_wanted = false;
  // ---- the commit
  std::shared_ptr<BlobReferences::WriteScope> writing;
  Digest strategy_state{};
  Digest saved_selector_state{};
  std::string strategy_text;  // what strategy_state is the hash of
  std::shared_ptr<const Broadcast> broadcast;
  Digest broadcast_state{};
};

}  // namespace fedwatt
