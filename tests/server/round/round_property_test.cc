// Random events against a reference that is too simple to be wrong, and against what must hold
// whatever happens.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/rng.h"
#include "server/round/round.h"
#include "tests/server/round/reference_round.h"

namespace fedwatt {
namespace {

constexpr int kSequences = 20'000;
constexpr int kEvents = 30;

class Fuzz {
 public:
  explicit Fuzz(uint64_t seed)
      : rng_(RngKey{"round", seed, "", "property-test", 0}),
        key_{"job", 1, static_cast<uint32_t>(1 + rng_.UniformInt(5)), rng_.UniformInt(4) == 0},
        limits_(RandomLimits()) {}

  const RoundKey& key() const { return key_; }
  const RoundLimits& limits() const { return limits_; }

  // Mostly what could come next, now and then anything.
  RoundEvent Next(const Round& round) {
    now_ms_ += static_cast<int64_t>(rng_.UniformInt(40));
    return rng_.UniformInt(3) == 0 ? Anything() : Fitting(round);
  }

 private:
  RoundLimits RandomLimits() {
    RoundLimits limits;
    limits.goal = static_cast<uint32_t>(1 + rng_.UniformInt(4));
    limits.assign = limits.goal + static_cast<uint32_t>(rng_.UniformInt(3));
    limits.min_reports = static_cast<uint32_t>(1 + rng_.UniformInt(limits.goal));
    limits.selection_timeout_ms = static_cast<int64_t>(rng_.UniformInt(300));
    limits.report_deadline_ms = static_cast<int64_t>(rng_.UniformInt(500));
    limits.max_attempts = static_cast<uint32_t>(1 + rng_.UniformInt(5));
    limits.backoff_initial_ms = static_cast<int64_t>(rng_.UniformInt(100));
    limits.backoff_max_ms = static_cast<int64_t>(rng_.UniformInt(1000));
    return limits;
  }

  uint32_t Index() { return static_cast<uint32_t>(rng_.UniformInt(limits_.assign + 1)); }

  RoundEvent Report() {
    BlobRef blob;
    blob.size = 1 + rng_.UniformInt(9);
    return ReportArrived{now_ms_, Index(), 1 + rng_.UniformInt(100), blob};
  }

  RoundEvent Selected() {
    std::vector<std::string> clients(rng_.UniformInt(limits_.assign + 2));
    for (size_t i = 0; i < clients.size(); ++i) clients[i] = absl::StrCat("client-", i);
    return ClientsSelected{now_ms_, clients};
  }

  RoundEvent Candidates() {
    return CandidatesChanged{now_ms_, static_cast<uint32_t>(rng_.UniformInt(limits_.assign + 2))};
  }

  RoundEvent Left() {
    return ClientsLeft{now_ms_, static_cast<uint32_t>(rng_.UniformInt(limits_.assign + 2))};
  }

  RoundEvent Fitting(const Round& round) {
    switch (round.phase()) {
      case RoundPhase::kIdle:
        return BeginAttempt{now_ms_};
      case RoundPhase::kSelecting:
        if (rng_.UniformInt(2) == 0) return Selected();
        if (rng_.UniformInt(4) == 0) return Left();
        return Candidates();
      case RoundPhase::kConfiguring:
        return AssignmentsDurable{now_ms_};
      case RoundPhase::kAggregating:
        return Aggregated{now_ms_};
      case RoundPhase::kApplying:
        return Applied{now_ms_, BlobRef{{}, 7}};
      case RoundPhase::kCommitting:
        return CommitDurable{now_ms_};
      default:
        if (rng_.UniformInt(4) == 0) return ClientFailed{now_ms_, Index(), "tired"};
        return Report();
    }
  }

  RoundEvent Anything() {
    switch (rng_.UniformInt(15)) {
      case 0:
        return BeginAttempt{now_ms_};
      case 1:
        return Candidates();
      case 2:
        return Selected();
      case 3:
        return AssignmentsDurable{now_ms_};
      case 4:
        return Aggregated{now_ms_};
      case 5:
        return Applied{now_ms_, BlobRef{{}, 8}};
      case 6:
        return CommitDurable{now_ms_};
      case 7:
        return RoundError{now_ms_, "broken"};
      case 8:
        return OperatorStopped{now_ms_};
      case 9:
        return ClientFailed{now_ms_, Index(), "gone"};
      case 10:
      case 11:
        return Report();
      case 12:
        return Left();
      default:
        return TimerFired{now_ms_};
    }
  }

  Rng rng_;
  int64_t now_ms_ = 0;
  const RoundKey key_;
  const RoundLimits limits_;
};

bool Final(RoundPhase phase) {
  return phase == RoundPhase::kCommitted || phase == RoundPhase::kAbandoned;
}

const char* SlotName(Round::Slot slot) {
  switch (slot) {
    case Round::Slot::kWorking:
      return "working";
    case Round::Slot::kReported:
      return "reported";
    case Round::Slot::kFailed:
      return "failed";
    case Round::Slot::kRefused:
      return "refused";
  }
  return "?";
}

TEST(RoundPropertyTest, AgreesWithTheReferenceAtEveryStep) {
  std::set<std::string> phases_seen;
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    Fuzz fuzz(seed);
    Round round(fuzz.key(), fuzz.limits());
    ReferenceRound reference(fuzz.key(), fuzz.limits());
    std::string story;
    for (int i = 0; i < kEvents; ++i) {
      const RoundEvent event = fuzz.Next(round);
      absl::StrAppend(&story, ToString(event), "\n");
      ASSERT_EQ(Summary(round.Step(event)), reference.Step(event)) << "seed " << seed << "\n"
                                                                   << story;
      ASSERT_EQ(RoundPhaseName(round.phase()), reference.phase()) << "seed " << seed << "\n"
                                                                  << story;
      ASSERT_EQ(round.clients().size(), reference.slots().size());
      for (const auto& [index, state] : reference.slots()) {
        ASSERT_EQ(SlotName(round.slot(index)), state) << "seed " << seed << "\n" << story;
      }
      phases_seen.insert(RoundPhaseName(round.phase()));
    }
  }
  EXPECT_EQ(phases_seen.size(), 9u) << "every phase should have been seen";
}

TEST(RoundPropertyTest, InvariantsHoldWhateverHappens) {
  int commits = 0;
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    Fuzz fuzz(seed);
    Round round(fuzz.key(), fuzz.limits());
    std::set<uint32_t> accepted;
    std::optional<int64_t> timer_ms;
    int ends = 0;
    for (int i = 0; i < kEvents; ++i) {
      const RoundPhase before = round.phase();
      const RoundEvent event = fuzz.Next(round);
      if (std::holds_alternative<TimerFired>(event)) timer_ms.reset();
      for (const RoundAction& action : round.Step(event)) {
        if (const auto* a = std::get_if<AcceptReport>(&action)) {
          ASSERT_TRUE(accepted.insert(a->assignment).second) << "accepted twice, seed " << seed;
        }
        if (std::holds_alternative<CommitRound>(action)) {
          ASSERT_GE(accepted.size(), fuzz.limits().min_reports) << "seed " << seed;
          ++commits;
        }
        if (const auto* a = std::get_if<Aggregate>(&action)) {
          ASSERT_EQ(std::set<uint32_t>(a->assignments.begin(), a->assignments.end()), accepted);
          ASSERT_TRUE(std::is_sorted(a->assignments.begin(), a->assignments.end()));
        }
        if (const auto* a = std::get_if<SetTimer>(&action)) timer_ms = a->at_ms;
        if (std::holds_alternative<ClearTimer>(action)) timer_ms.reset();
        ends += std::holds_alternative<AbandonRound>(action);
        ASSERT_FALSE(Final(before) && !std::holds_alternative<RefuseReport>(action) &&
                     !std::holds_alternative<RecordFailure>(action))
            << ToString(action) << " after the end, seed " << seed;
      }
      ends += round.phase() == RoundPhase::kCommitted && before != RoundPhase::kCommitted;
      ASSERT_TRUE(!Final(before) || round.phase() == before) << "seed " << seed;
      ASSERT_EQ(ends, Final(round.phase()) ? 1 : 0) << "seed " << seed;
      ASSERT_EQ(round.reported(), accepted.size());
      // A phase that waits for others has its timer, so that none can wait for ever.
      if (round.phase() == RoundPhase::kReporting) {
        ASSERT_EQ(timer_ms, round.deadline_ms()) << "seed " << seed;
      }
      ASSERT_FALSE(Final(round.phase()) && timer_ms.has_value()) << "seed " << seed;
    }
  }
  EXPECT_GT(commits, kSequences / 50);
}

// What must be equal after a replay: all but the late reports that were refused.
std::string Remembered(const Round& round) {
  std::string text = absl::StrCat(RoundPhaseName(round.phase()), " ", round.reported(), " ",
                                  round.failed(), " ", round.deadline_ms());
  for (uint32_t i = 0; i < round.clients().size(); ++i) {
    const bool refused = round.slot(i) == Round::Slot::kRefused;
    absl::StrAppend(&text, " ", round.clients()[i], ":",
                    refused ? "working" : SlotName(round.slot(i)));
  }
  for (const RoundAction& action : round.Resume()) absl::StrAppend(&text, "\n", ToString(action));
  return text;
}

bool Logged(const RoundActions& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const RoundAction& action) {
    return std::holds_alternative<PersistAssignments>(action) ||
           std::holds_alternative<SendAssignments>(action) ||
           std::holds_alternative<AcceptReport>(action) ||
           std::holds_alternative<RecordFailure>(action);
  });
}

// From the log alone, which knows nothing of candidates, questions, timers and refusals.
TEST(RoundPropertyTest, ReplayOfWhatTheLogHoldsRestoresTheRound) {
  int compared = 0;
  int identical = 0;
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    Fuzz fuzz(seed);
    Round round(fuzz.key(), fuzz.limits());
    std::vector<RoundEvent> log;
    for (int i = 0; i < kEvents; ++i) {
      const RoundEvent event = fuzz.Next(round);
      if (Logged(round.Step(event))) log.push_back(event);
      if (round.phase() < RoundPhase::kConfiguring) continue;
      if (round.phase() > RoundPhase::kAggregating) break;
      Round again(fuzz.key(), fuzz.limits());
      for (const RoundEvent& logged : log) again.Step(logged);
      if (round.phase() == RoundPhase::kAggregating) again.Step(TimerFired{round.deadline_ms()});
      ASSERT_EQ(Remembered(again), Remembered(round)) << "seed " << seed;
      if (round.refused() == 0) {
        ASSERT_TRUE(again == round) << "seed " << seed;
        ++identical;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, kSequences);
  EXPECT_GT(identical, compared / 2);
  EXPECT_LT(identical, compared);
}

// From any state, a driver that answers what Resume() asks for, with clients that all report,
// reaches the end.
TEST(RoundPropertyTest, EveryStateLeadsToAnEnd) {
  for (uint64_t seed = 0; seed < kSequences; ++seed) {
    Fuzz fuzz(seed);
    Round round(fuzz.key(), fuzz.limits());
    const int events = static_cast<int>(seed % kEvents);
    for (int i = 0; i < events; ++i) round.Step(fuzz.Next(round));
    if (round.phase() == RoundPhase::kIdle) round.Step(BeginAttempt{0});
    for (int i = 0; i < 10 && !Final(round.phase()); ++i) {
      const RoundActions todo = round.Resume();
      ASSERT_FALSE(todo.empty()) << RoundPhaseName(round.phase()) << ", seed " << seed;
      const RoundAction& first = todo.front();
      const int64_t now_ms = round.deadline_ms();
      if (std::holds_alternative<SetTimer>(first)) round.Step(TimerFired{now_ms});
      if (const auto* a = std::get_if<SelectClients>(&first)) {
        round.Step(ClientsSelected{now_ms, std::vector<std::string>(a->count, "c")});
      }
      if (std::holds_alternative<PersistAssignments>(first)) {
        round.Step(AssignmentsDurable{now_ms});
      }
      if (std::holds_alternative<Aggregate>(first)) round.Step(Aggregated{now_ms});
      if (std::holds_alternative<ApplyUpdate>(first)) round.Step(Applied{now_ms, {}});
      if (std::holds_alternative<CommitRound>(first)) round.Step(CommitDurable{now_ms});
    }
    ASSERT_TRUE(Final(round.phase())) << RoundPhaseName(round.phase()) << ", seed " << seed;
  }
}

}  // namespace
}  // namespace fedwatt
