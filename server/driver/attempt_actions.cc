// From an event to the round's actions, up to the assignments.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "server/driver/job_driver.h"
#include "server/selectors/unbiased_weights.h"

namespace fedwatt {
namespace {

// All assignments of an attempt are answered at once, each with a copy of what travels inline, and
// a copy waits for as long as its client takes to read it. Downloads are read from the mapped file.
// Reports with inline updates may come all at once too, and gRPC holds each whole before anyone can
// reserve for it; the chunks of uploads wait for room.
constexpr uint64_t kInlineBytesOfAttempt = 32 << 20;

// What of one blob may travel inline to each of them.
uint64_t InlineRoom(const AttemptFacts& facts) {
  return std::min<uint64_t>(bounds::kMaxInlineBytes,
                            kInlineBytesOfAttempt / std::max<size_t>(facts.clients.size(), 1));
}

Resource ByHash(const Digest& sha256, const MappedFile& file, uint64_t room) {
  Resource resource;
  resource.sha256 = sha256;
  resource.size = file.bytes().size();
  if (resource.size <= room) resource.inline_data = AsText(file.bytes());
  return resource;
}

template <typename T>
bool Contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// How a client gets the model: by the smallest way that it understands.
void NameModel(const AttemptFacts& facts, const Offer& offer, Assignment* assignment) {
  assignment->base = facts.base;
  uint64_t room = InlineRoom(facts);
  assignment->model = ByHash(facts.base.sha256, *facts.base_file, 0);
  const std::vector<Digest>& held = offer.request.models;
  if (facts.broadcast != nullptr && Contains(held, facts.base.sha256)) return;
  const std::vector<std::string>& codecs = offer.request.capabilities.codecs;
  if (facts.broadcast != nullptr && Contains(codecs, facts.setup->down->spec().name)) {
    assignment->model_steps = WayTo(facts.broadcast->state, held);
  }
  if (assignment->model_steps.empty()) {
    assignment->model = ByHash(facts.base.sha256, *facts.base_file, room);
    return;
  }
  // Should it not find the way, it downloads the flat model.
  for (ModelStep& step : assignment->model_steps) {
    Resource& payload = step.payload;
    if (payload.size > room) continue;
    room -= payload.size;
    payload.inline_data = AsText(facts.broadcast->Find(payload.sha256)->bytes());
  }
}

// Of those who were still there, in their order, which is that of `chosen`.
std::vector<double> InclusionOf(const std::vector<std::string>& claimed,
                                const std::vector<std::string>& chosen,
                                const std::vector<double>& inclusion) {
  std::vector<double> kept;
  for (size_t i = 0; i < inclusion.size(); ++i) {
    if (kept.size() < claimed.size() && claimed[kept.size()] == chosen[i]) {
      kept.push_back(inclusion[i]);
    }
  }
  return kept;
}

// "00".."99", stable for a client, and unlike its pseudonym no handle on it.
std::string Cohort(const std::string& client) {
  const Digest digest = Sha256Of(AsBytes(absl::StrCat("fedwatt-cohort ", client)));
  const uint32_t number = (digest[0] << 8 | digest[1]) % 100;
  return absl::StrCat(number / 10, number % 10);
}

}  // namespace

void JobDriver::Step(const RoundEvent& event) {
  const RoundKey key = attempt_->key();
  for (const RoundAction& action : attempt_->round.Step(event)) {
    std::visit([this](const auto& kind) { Do(kind); }, action);
    if (!InAttempt(key)) return;
  }
  Publish();
}

void JobDriver::Do(const SetTimer& action) {
  Do(ClearTimer{});
  round_timer_ = PostSelfAfter(action.at_ms - NowMs(), [key = attempt_->key()](JobDriver& self) {
    if (self.InAttempt(key)) self.Step(TimerFired{self.NowMs()});
  });
}

void JobDriver::Do(const ClearTimer&) { strand_.Cancel(std::exchange(round_timer_, 0)); }

void JobDriver::OpenDemand() {
  if (attempt_ == nullptr || attempt_->round.phase() != RoundPhase::kSelecting) return;
  ClientPool::Demand demand;
  demand.job = setup_->id;
  demand.need = setup_->need(attempt_->key().evaluation);
  demand.wanted = attempt_->round.limits().assign;
  const uint64_t separation = setup_->spec.eligibility.min_separation_rounds;
  if (!attempt_->key().evaluation && separation > 0) {
    for (const auto& [client, round] : last_assigned_) {
      if (attempt_->key().round <= round + separation) demand.excluded.insert(client);
    }
  }
  if (budget_.LimitsClients()) {
    for (const auto& [client, history] : history_) {
      if (budget_.SpentOut(client)) demand.excluded.insert(client);
    }
  }
  demand.changed = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || self->candidates_posted_.exchange(true)) return;
    self->PostSelf([](JobDriver& driver) { driver.OnCandidates(); });
  };
  context_->pool->OpenDemand(std::move(demand));
}

void JobDriver::OnCandidates() {
  candidates_posted_ = false;
  if (attempt_ == nullptr || attempt_->round.phase() != RoundPhase::kSelecting) return;
  Step(CandidatesChanged{NowMs(), context_->pool->CandidateCount(setup_->id)});
}

absl::StatusOr<Selection> JobDriver::Select(const std::vector<Candidate>& candidates,
                                            uint32_t count) {
  // From the committed state, so that an attempt that was abandoned leaves no trace.
  FW_RETURN_IF_ERROR(selector_->LoadState(selector_state_));
  const RoundKey& key = attempt_->key();
  Rng rng(RngKey{
      .job = key.job,
      .round = key.round,
      .client = "",
      .purpose = absl::StrCat(key.evaluation ? "select-evaluators/" : "select/", key.attempt),
      .seed = setup_->spec.seed});
  Selector* selector = selector_.get();
  std::unique_ptr<Selector> evenly;
  if (key.evaluation) {
    // Whom training prefers says nothing about who is fit to judge.
    FW_ASSIGN_OR_RETURN(evenly, BuiltinSelectors().at("uniform")(PluginSpec{"uniform", {}}));
    selector = evenly.get();
  }
  SelectionRequest request{key, count, candidates};
  if (context_->deps.carbon != nullptr) {
    request.surplus_watts = context_->deps.carbon->SurplusWatts(NowMs());
  }
  FW_ASSIGN_OR_RETURN(Selection selection, selector->Select(request, rng));
  for (const size_t index : selection.chosen) {
    if (index >= candidates.size()) {
      return absl::InternalError(absl::StrCat("selector \"", setup_->spec.selector.name,
                                              "\" chose candidate ", index, " of ",
                                              candidates.size()));
    }
  }
  if (!key.evaluation) attempt_->selector_state = selector_->SaveState();
  return selection;
}

void JobDriver::Do(const SelectClients& action) {
  const CostPredictor predictor = LearnCosts(*setup_, costs_);
  const std::vector<Candidate> candidates = MakeCandidates(
      *setup_, context_->pool->Candidates(setup_->id), history_, predictor, CarbonByRegion());
  absl::StatusOr<Selection> selection = Select(candidates, action.count);
  std::vector<std::string> chosen;
  std::unordered_map<std::string, CostPrediction> costs;
  if (selection.ok()) {
    for (const size_t index : selection->chosen) {
      const Candidate& candidate = candidates[index];
      chosen.push_back(candidate.client);
      if (candidate.cost) costs.emplace(candidate.client, *candidate.cost);
    }
  }
  std::vector<Offer> taken = context_->pool->Claim(setup_->id, chosen);
  const bool some_left = candidates.size() < action.count || taken.size() < chosen.size();
  if (selection.ok() && some_left && taken.size() < attempt_->round.limits().min_reports) {
    return SelectAgain(taken);
  }
  const std::vector<Offer> offers = WithinBudget(std::move(taken), predictor, costs);
  std::vector<std::string> claimed;
  for (const Offer& offer : offers) claimed.push_back(offer.client);
  for (const Offer& offer : offers) {
    attempt_->device_classes.push_back(offer.request.capabilities.device_class);
  }
  attempt_->claimed = claimed;
  context_->pool->CloseDemand(setup_->id);
  if (!selection.ok()) {
    Step(RoundError{NowMs(), absl::StrCat("selecting clients: ", StatusText(selection.status()))});
    return;
  }
  if (refused_ && EndsOrWaitsForBudget(claimed.size(), *refused_)) return;
  if (const absl::Status status = ChooseUploads(offers); !status.ok()) {
    Step(RoundError{NowMs(), absl::StrCat("choosing codecs: ", StatusText(status))});
    return;
  }
  attempt_->inclusion = InclusionOf(claimed, chosen, selection->inclusion);
  Step(ClientsSelected{NowMs(), std::move(claimed)});
}

// Some gave up waiting, or went to another job, since they were counted: no fault of this attempt.
void JobDriver::SelectAgain(const std::vector<Offer>& taken) {
  for (const Offer& offer : taken) context_->pool->Unclaim(setup_->id, offer.client);
  Step(ClientsLeft{NowMs(), context_->pool->CandidateCount(setup_->id)});
  PostSelf([](JobDriver& driver) { driver.OnCandidates(); });
}

// Fresh figures of one kind alone, that of the job's own source: others are not to be compared.
RegionCarbon JobDriver::CarbonByRegion() const {
  const std::optional<CarbonIntensity> own = budget_.CarbonAt(NowMs());
  if (context_->deps.carbon == nullptr || !own) return nullptr;
  auto by_region = context_->deps.carbon->FiguresOfClients(NowMs());
  std::erase_if(by_region, [&own](const auto& entry) {
    return entry.second.stale || entry.second.kind != own->kind;
  });
  return [by_region = std::move(by_region)](const std::string& region) -> std::optional<double> {
    const auto found = by_region.find(region);
    return found == by_region.end() ? std::nullopt : std::make_optional(found->second.g_per_kwh);
  };
}

// What of a selection the budget has room for, reserved; the others are free again.
std::vector<Offer> JobDriver::WithinBudget(
    std::vector<Offer> offers, const CostPredictor& predictor,
    const std::unordered_map<std::string, CostPrediction>& costs) {
  JobBudget::Choice choice = budget_.Reserve(attempt_->key(), offers, predictor, costs, NowMs());
  refused_ = std::move(choice.refusal);
  if (choice.kept.size() == offers.size()) return offers;
  std::vector<Offer> kept;
  size_t next = 0;
  for (size_t i = 0; i < offers.size(); ++i) {
    if (next < choice.kept.size() && choice.kept[next] == i) {
      kept.push_back(std::move(offers[i]));
      ++next;
    } else {
      context_->pool->Unclaim(setup_->id, offers[i].client);
    }
  }
  return kept;
}

// Too few fit for a round to be: the job ends, or waits for the next day. Other clients may fit a
// limit of clients.
bool JobDriver::EndsOrWaitsForBudget(size_t kept, const BudgetRefusal& refusal) {
  if (kept >= attempt_->round.limits().min_reports || refusal.scope == BudgetScope::kClient) {
    return false;
  }
  const int64_t now_ms = NowMs();
  if (budget_.FitsAnotherDay(refusal, now_ms)) {
    wait_until_ms_ = JobBudget::NextDayMs(now_ms);
    wait_reason_ = absl::StrCat("waiting for the next day: ", refusal.reason);
  } else {
    ending_ = "budget";
    why_ending_ = refusal.reason;
  }
  attempt_->over_budget = refusal.reason;
  LogInfo("a budget is used up", {{"job", setup_->id}, {"why", refusal.reason}});
  Step(OperatorStopped{now_ms});
  return true;
}

absl::Status JobDriver::ChooseUploads(const std::vector<Offer>& offers) {
  if (attempt_->key().evaluation) return absl::OkStatus();
  for (const Offer& offer : offers) {
    FW_ASSIGN_OR_RETURN(ChosenCodec chosen,
                        ChooseCodec(setup_->spec, setup_->upload_codecs, offer));
    attempt_->uploads.push_back(std::move(chosen));
  }
  return absl::OkStatus();
}

void JobDriver::MakeFacts(const std::vector<std::string>& clients, int64_t deadline_ms) {
  auto facts = std::make_shared<AttemptFacts>();
  facts->key = attempt_->key();
  facts->setup = setup_;
  facts->base = last_;
  facts->base_file = base_file_;
  if (broadcast_ != nullptr && !EvaluatesExact(*attempt_)) {
    facts->broadcast = broadcast_;
    facts->base.sha256 = broadcast_->state.model.sha256;
    facts->base_file = broadcast_->model();
  }
  facts->clients = clients;
  facts->uploads = std::move(attempt_->uploads);
  for (const ChosenCodec& upload : facts->uploads) ++attempt_->codecs[upload.codec->text];
  facts->deadline_ms = deadline_ms;
  facts->device_classes = std::move(attempt_->device_classes);
  if (setup_->unbiased_clip && !facts->key.evaluation) {
    facts->multipliers = UnbiasedMultipliers(attempt_->inclusion, *setup_->unbiased_clip);
  }
  attempt_->facts = std::move(facts);
  attempt_->accepted.resize(clients.size());
  for (uint32_t i = 0; i < clients.size(); ++i) attempt_->index_by_client[clients[i]] = i;
}

void JobDriver::Do(const PersistAssignments& action) {
  MakeFacts(action.clients, action.deadline_ms);
  const RoundKey key = attempt_->key();
  Plan plan = setup_->spec.plan;
  const absl::Status configured =
      key.evaluation ? absl::OkStatus() : strategy_->ConfigurePlan(key, &plan);
  if (!configured.ok()) {
    Step(RoundError{NowMs(), absl::StrCat("strategy \"", setup_->spec.strategy.name,
                                          "\": ", StatusText(configured))});
    return;
  }
  const int64_t now_ms = NowMs();
  std::vector<StoreWrite> batch;
  batch.emplace_back(AppendLog{AttemptBegan{key, attempt_->round.limits(), attempt_->began_ms}});
  ClientsAssigned assigned;
  assigned.key = key;
  assigned.clients = action.clients;
  assigned.inclusion = attempt_->inclusion;
  assigned.selector_state = attempt_->selector_state;
  for (const ChosenCodec& upload : attempt_->facts->uploads) {
    assigned.codecs.push_back(upload.codec->text);
    assigned.codec_reasons.push_back(upload.reason);
  }
  assigned.device_classes = attempt_->facts->device_classes;
  assigned.now_ms = now_ms;
  budget_.Confirm(&assigned);
  batch.emplace_back(AppendLog{std::move(assigned)});
  NoteOwnEnergy(&batch);
  context_->deps.store->Write(
      std::move(batch), [weak = weak_from_this(), key](absl::Status written) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->PostSelf([key, written](JobDriver& driver) {
          if (!driver.InAttempt(key)) return;
          if (!written.ok()) {
            driver.Step(RoundError{driver.NowMs(),
                                   absl::StrCat("writing the assignments: ", StatusText(written))});
            return;
          }
          driver.attempt_->assigned = true;
          if (driver.attempt_->round.phase() == RoundPhase::kConfiguring) driver.PublishAttempt();
          driver.Step(AssignmentsDurable{driver.NowMs()});
        });
      });
}

// Also after a restart: replayed slots that are closed already are marked so.
void JobDriver::PublishAttempt() {
  const Attempt& attempt = *attempt_;
  if (attempt.facts == nullptr) return;
  context_->board->Publish(attempt.facts);
  for (uint32_t i = 0; i < attempt.facts->clients.size(); ++i) {
    switch (attempt.round.slot(i)) {
      case Round::Slot::kWorking:
        context_->pool->Restore(setup_->id, attempt.facts->clients[i]);
        break;
      case Round::Slot::kReported:
        context_->board->SetSlot(attempt.key(), i, SlotState::kReported, "",
                                 attempt.accepted[i]->report.update.sha256);
        break;
      case Round::Slot::kFailed:
      case Round::Slot::kRefused:
        context_->board->SetSlot(attempt.key(), i, SlotState::kFailed,
                                 "failed: this assignment failed before", Digest{});
        break;
    }
  }
}

void JobDriver::Do(const SendAssignments&) {
  for (uint32_t i = 0; i < attempt_->facts->clients.size(); ++i) {
    if (attempt_->round.slot(i) != Round::Slot::kWorking) continue;
    context_->pool->Deliver(setup_->id, attempt_->facts->clients[i],
                            [this, i](const Offer& offer) { return MakeAssignment(i, offer); });
  }
}

// A client that works for this job checks in: it (or we) restarted. It gets its assignment again,
// or is free for other work.
void JobDriver::Resend(const std::string& client) {
  const auto found = attempt_ == nullptr ? decltype(attempt_->index_by_client)::iterator()
                                         : attempt_->index_by_client.find(client);
  const bool assigned = attempt_ != nullptr && found != attempt_->index_by_client.end();
  const RoundPhase phase = attempt_ == nullptr ? RoundPhase::kIdle : attempt_->round.phase();
  if (assigned && phase == RoundPhase::kConfiguring) return;
  if (!assigned || phase != RoundPhase::kReporting ||
      attempt_->round.slot(found->second) != Round::Slot::kWorking) {
    context_->pool->Finish(setup_->id, client);
    return;
  }
  const uint32_t index = found->second;
  context_->pool->Deliver(setup_->id, client, [this, index](const Offer& offer) {
    return MakeAssignment(index, offer);
  });
}

Assignment JobDriver::MakeAssignment(uint32_t index, const Offer& offer) const {
  const AttemptFacts& facts = *attempt_->facts;
  const JobSpec& spec = setup_->spec;
  const bool evaluation = facts.key.evaluation;
  Assignment assignment;
  assignment.id = MakeAssignmentId(facts.key, index);
  assignment.key = facts.key;
  assignment.kind = evaluation ? AssignmentKind::kEvaluate : AssignmentKind::kTrain;
  NameModel(facts, offer, &assignment);
  // Clients keep a bundle that they download; inline it would come with every assignment.
  const uint64_t room = setup_->down != nullptr ? 0 : InlineRoom(facts);
  assignment.bundle = ByHash(setup_->bundle.sha256, *setup_->bundle_file, room);
  assignment.plan = spec.plan;
  assignment.plan.seed = spec.seed;
  if (evaluation) {
    assignment.plan.max_examples = spec.evaluation.max_examples;
  } else if (const absl::Status status = strategy_->ConfigurePlan(facts.key, &assignment.plan);
             !status.ok()) {
    // The same call went well for this attempt before it was handed out.
    LogError("a strategy changed its mind about a plan",
             {{"job", setup_->id}, {"error", StatusText(status)}});
  }
  const Need& need = setup_->need(evaluation);
  if (const DatasetRef* dataset = MatchingDataset(need, offer)) {
    assignment.dataset = *dataset;
  } else {
    assignment.dataset = DatasetRef{need.dataset, need.schema_version, 0};
  }
  assignment.trainer = ChosenTrainer(need, offer);
  if (!evaluation) {
    const ChosenCodec& upload = facts.uploads[index];
    assignment.codec = upload.codec->text;
    assignment.codec_reason = upload.reason;
    assignment.max_upload_bytes = upload.codec->max_bytes;
    assignment.max_inline_bytes = InlineRoom(facts);
    assignment.weight_multiplier = facts.Multiplier(index);
  }
  assignment.time_left_ms = std::max<int64_t>(facts.deadline_ms - NowMs(), 0);
  assignment.cohort = Cohort(offer.client);
  assignment.max_weight = spec.bounds.max_weight;
  assignment.max_abs_delta = spec.bounds.max_abs_delta;
  return assignment;
}

}  // namespace fedwatt
