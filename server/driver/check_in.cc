#include "server/driver/check_in.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_util.h"
#include "server/driver/update_intake.h"

namespace fedwatt {
namespace {

constexpr int64_t kMaxSkewMs = 5 * 60 * 1000;
constexpr size_t kMaxSkewWarnings = 10'000;
// An upgrade takes longer than a round.
constexpr int64_t kUpgradeRetryMs = 3'600'000;

absl::Status CheckDoor(const Principal& who, const CheckInRequest& request) {
  if (request.tenant != who.tenant) {
    return absl::PermissionDeniedError(
        absl::StrCat("tenant '", request.tenant, "' is not yours: this certificate is for '",
                     who.tenant, "'; correct the client's configuration"));
  }
  const bool device = request.role == Role::kClient || request.role == Role::kEvaluator;
  if (!device || who.role != request.role) {
    return absl::PermissionDeniedError(absl::StrCat(
        "role '", RoleName(request.role), "' is not granted: this certificate is for '",
        RoleName(who.role), "'; a device checks in as 'client' or 'evaluator'"));
  }
  return absl::OkStatus();
}

std::string ProtocolMismatch(const CheckInRequest& request) {
  const std::string range =
      absl::StrCat("this client speaks protocol ", request.protocol_min, " to ",
                   request.protocol_max, ", this coordinator ", kProtocolMin, " to ", kProtocolMax);
  const bool client_is_old = request.protocol_max < kProtocolMin;
  return absl::StrCat(range, "; upgrade the ", client_is_old ? "client" : "coordinator");
}

OutcomeNotice FromRecord(const Holding& holding, const std::string& client,
                         const absl::StatusOr<std::optional<AssignmentRecord>>& record) {
  OutcomeNotice notice{holding.assignment_id, Outcome::kUnknown, "no such assignment of yours"};
  if (!record.ok()) {
    // Not known now is no reason to throw work away.
    return {holding.assignment_id, Outcome::kPending, StatusText(record.status())};
  }
  if (!*record || (*record)->client != client) return notice;
  notice.reason = (*record)->reason;
  switch ((*record)->state) {
    case AssignmentState::kAssigned:
    case AssignmentState::kReported:
      notice.outcome = Outcome::kPending;
      break;
    case AssignmentState::kCommitted:
      notice.outcome = Outcome::kCommitted;
      break;
    case AssignmentState::kRefused:
      notice.outcome = Outcome::kRefused;
      break;
    case AssignmentState::kAbandoned:
      notice.outcome = Outcome::kAbandoned;
      break;
  }
  return notice;
}

}  // namespace

CheckInDoor::CheckInDoor(const DriverContext* context)
    : context_(context), strand_(context->deps.executor) {}

void CheckInDoor::CheckIn(uint64_t id, const Principal& who, CheckInRequest request,
                          Coordinator::CheckInDone done) {
  Executor* const executor = context_->deps.executor;
  if (absl::Status refused = CheckDoor(who, request); !refused.ok()) {
    executor->Post([done = std::move(done), refused = std::move(refused)]() mutable {
      done(std::move(refused));
    });
    return;
  }
  if (request.protocol_max < kProtocolMin || request.protocol_min > kProtocolMax) {
    CheckInResponse response;
    response.protocol = kProtocolMax;
    response.server_time_ms = context_->deps.clock->NowMs();
    response.rejection = Rejection{ProtocolMismatch(request), kUpgradeRetryMs};
    executor->Post([done = std::move(done), response = std::move(response)]() mutable {
      done(std::move(response));
    });
    return;
  }
  NoteClockSkew(who, request);
  context_->pool->Announce(id);
  Offer offer{PseudonymOf(*context_, who, request.population), who.tenant, std::move(request)};
  strand_.Post([this, id, offer = std::move(offer), done = std::move(done)]() mutable {
    Admit(id, std::move(offer), std::move(done));
  });
}

void CheckInDoor::Admit(uint64_t id, Offer offer, Coordinator::CheckInDone done) {
  ClientPool::Call call;
  call.id = id;
  call.wait_ms =
      std::clamp<int64_t>(offer.request.max_wait_ms, 0, context_->options.long_poll_max_ms);
  // Final now is final later; what is pending may be decided by the time of the answer.
  call.finish = [outcomes = Outcomes(offer), client = offer.client, holding = offer.request.holding,
                 board = context_->board, clock = context_->deps.clock](CheckInResponse* response) {
    response->protocol = kProtocolMax;
    response->server_time_ms = clock->NowMs();
    response->outcomes = outcomes;
    for (size_t i = 0; i < holding.size(); ++i) {
      auto now = board->OutcomeOf(client, holding[i]);
      if (now) response->outcomes[i] = *std::move(now);
    }
  };
  call.offer = std::move(offer);
  call.done = std::move(done);
  context_->pool->Admit(std::move(call));
}

std::vector<OutcomeNotice> CheckInDoor::Outcomes(const Offer& offer) const {
  std::vector<OutcomeNotice> outcomes;
  for (const Holding& holding : offer.request.holding) {
    auto notice = context_->board->OutcomeOf(offer.client, holding);
    if (!notice) {
      notice = FromRecord(holding, offer.client,
                          context_->deps.store->FindAssignment(holding.assignment_id));
    }
    outcomes.push_back(*std::move(notice));
  }
  return outcomes;
}

void CheckInDoor::NoteClockSkew(const Principal& who, const CheckInRequest& request) {
  if (request.client_time_ms == 0) return;
  const int64_t skew_ms = request.client_time_ms - context_->deps.clock->NowMs();
  if (std::llabs(skew_ms) <= kMaxSkewMs) return;
  {
    MutexLock lock(&mutex_);
    if (skewed_.size() >= kMaxSkewWarnings || !skewed_.insert(who.subject).second) return;
  }
  LogWarning("a client's clock is off; it is served all the same",
             {{"client", who.subject},
              {"by", HumanDuration(skew_ms)},
              {"limit", HumanDuration(kMaxSkewMs)},
              {"remedy", "set the device's clock, certificates depend on it"}});
}

}  // namespace fedwatt
