#include "server/driver/client_pool.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/driver/pace_steering.h"

namespace fedwatt {
namespace {

// Clients served are halved when they exceed this, so that "lately" is about so many clients.
constexpr uint64_t kServedWindow = 4096;

// Names are kept for the statistics only.
constexpr size_t kMaxKnown = 1'000'000;

std::string LabelOf(const Capabilities& capabilities, const std::string& name) {
  const auto label = capabilities.labels.find(name);
  return label == capabilities.labels.end() ? "" : label->second;
}

}  // namespace

void ClientPool::Later::Run() {
  for (const std::function<void()>& call : calls) call();
}

ClientPool::ClientPool(ClientPoolOptions options, const Clock* clock, Executor* executor)
    : options_(options), clock_(clock), executor_(executor), timers_(executor) {}

ClientPool::~ClientPool() { Shutdown(); }

void ClientPool::Announce(uint64_t call_id) {
  MutexLock lock(&mutex_);
  announced_[call_id] = false;
}

void ClientPool::Admit(Call call) {
  Later later;
  absl::Status refused;
  {
    MutexLock lock(&mutex_);
    const auto announced = announced_.find(call.id);
    const bool cancelled = announced != announced_.end() && announced->second;
    if (announced != announced_.end()) announced_.erase(announced);
    refused = cancelled ? absl::CancelledError("the caller went away") : MakeWay(call, &later);
    if (refused.ok()) {
      const std::string client = call.offer.client;
      const uint64_t id = call.id;
      if (known_.size() < kMaxKnown) known_.insert(client);
      client_by_call_[id] = client;
      const int64_t wait_ms = WaitMs(call);
      Waiter& waiter = waiters_[client];
      waiter.timer = timers_.PostAfter(wait_ms, [this, id] { Timeout(id); });
      waiter.call = std::move(call);
      const auto works = works_for_.find(client);
      if (works == works_for_.end()) {
        Reserve(&waiter, DemandsInOrder(), &later);
      } else if (const auto job = jobs_.find(works->second); job != jobs_.end()) {
        later.calls.push_back([resend = job->second.resend, client] { resend(client); });
      }
    }
  }
  if (!refused.ok()) Answer(std::move(call), std::move(refused));
  later.Run();
}

absl::Status ClientPool::MakeWay(const Call& call, Later* later) {
  if (closed_) return absl::UnavailableError("the coordinator is shutting down; try again soon");
  const auto it = waiters_.find(call.offer.client);
  if (it == waiters_.end()) {
    if (waiters_.size() < options_.max_waiting) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(options_.max_waiting,
                                                     " clients wait already, the limit of this "
                                                     "coordinator; try again later"));
  }
  const uint64_t waiting = it->second.call.offer.request.session;
  if (call.offer.request.session < waiting) {
    return absl::AbortedError(absl::StrCat("session ", waiting,
                                           " of this client waits already and is newer than ",
                                           call.offer.request.session));
  }
  Answer(Take(it, later), absl::AbortedError("a newer check-in of this client took its place"));
  return absl::OkStatus();
}

void ClientPool::Cancel(uint64_t call_id) {
  Later later;
  {
    MutexLock lock(&mutex_);
    if (const auto it = announced_.find(call_id); it != announced_.end()) it->second = true;
    const auto it = client_by_call_.find(call_id);
    if (it == client_by_call_.end()) return;
    Answer(Take(waiters_.find(it->second), &later), absl::CancelledError("the caller went away"));
  }
  later.Run();
}

void ClientPool::Timeout(uint64_t call_id) {
  Later later;
  {
    MutexLock lock(&mutex_);
    const auto it = client_by_call_.find(call_id);
    if (it == client_by_call_.end()) return;
    const auto waiter = waiters_.find(it->second);
    const Call& call = waiter->second.call;
    CheckInResponse response = Rejected(call.offer, call.wait_ms);
    Answer(Take(waiter, &later), std::move(response));
  }
  later.Run();
}

void ClientPool::Shutdown() {
  Later dropped;
  MutexLock lock(&mutex_);
  closed_ = true;
  while (!waiters_.empty()) {
    Answer(Take(waiters_.begin(), &dropped),
           absl::UnavailableError("the coordinator is shutting down; try again soon"));
  }
}

uint64_t ClientPool::waiting() const {
  MutexLock lock(&mutex_);
  return waiters_.size();
}

uint64_t ClientPool::known() const {
  MutexLock lock(&mutex_);
  return known_.size();
}

ClientPool::Call ClientPool::Take(WaiterMap::iterator it, Later* later) {
  Waiter& waiter = it->second;
  timers_.Cancel(waiter.timer);
  if (!waiter.reserved.empty()) {
    OpenedDemand& demand = demands_.at(waiter.reserved);
    --demand.count;
    later->calls.push_back(demand.demand.changed);
  }
  Call call = std::move(waiter.call);
  client_by_call_.erase(call.id);
  waiters_.erase(it);
  return call;
}

void ClientPool::Answer(Call call, absl::StatusOr<CheckInResponse> response) {
  executor_->Post([done = std::move(call.done), finish = std::move(call.finish),
                   response = std::move(response)]() mutable {
    if (response.ok() && finish) finish(&*response);
    done(std::move(response));
  });
}

const ClientPool::Job* ClientPool::FittingJob(const Offer& offer) const {
  for (const auto& [id, job] : jobs_) {
    for (const Need& need : job.needs) {
      if (WhyNot(need, offer).empty()) return &job;
    }
  }
  return nullptr;
}

std::string ClientPool::WhyNoJob(const Offer& offer) const {
  std::string first;
  for (const auto& [id, job] : jobs_) {
    for (const Need& need : job.needs) {
      const bool here = need.tenant == offer.tenant && need.role == offer.request.role &&
                        need.population == offer.request.population;
      if (here && first.empty()) first = absl::StrCat("job ", id, " ", WhyNot(need, offer));
    }
  }
  if (first.empty()) {
    return absl::StrCat("no job is running for ", RoleName(offer.request.role), "s of population '",
                        offer.request.population, "'");
  }
  const std::string datasets =
      absl::StrJoin(offer.request.datasets, ", ", [](std::string* out, const DatasetRef& dataset) {
        absl::StrAppend(out, "'", dataset.name, "'");
      });
  return absl::StrCat("no job for dataset ", datasets.empty() ? "(none offered)" : datasets, ": ",
                      first);
}

// Who works is to be sent its assignment again, and waits for that.
int64_t ClientPool::WaitMs(const Call& call) const {
  if (waiters_.size() < 2 * options_.crowd || works_for_.contains(call.offer.client)) {
    return call.wait_ms;
  }
  const Job* const job = FittingJob(call.offer);
  return job == nullptr || waiters_.size() < 2 * EnoughFor(*job) ? call.wait_ms : 0;
}

CheckInResponse ClientPool::Rejected(const Offer& offer, int64_t waited_ms) {
  CheckInResponse response;
  Rejection rejection;
  PaceReason pace = PaceReason::kNoMatch;
  int64_t base_ms = options_.retry_after_ms;
  if (const Job* job = FittingJob(offer); job == nullptr) {
    rejection.reason = WhyNoJob(offer);
    // A job may come any moment, and should find the fleet awake.
    if (jobs_.empty()) pace = PaceReason::kWaiting;
  } else if (waiters_.size() <= 2 * uint64_t{job->wanted}) {
    pace = PaceReason::kWanted;
    rejection.reason = absl::StrCat("job ", job->id, " has no work at this moment");
  } else {
    pace = PaceReason::kWaiting;
    rejection.reason = absl::StrCat("job ", job->id, " has clients enough at this moment");
    const uint64_t enough = EnoughFor(*job);
    if (waiters_.size() > enough) base_ms = CrowdPaceMs(base_ms, waited_ms, known_.size(), enough);
  }
  rejection.retry_after_ms = RetryAfterMs(base_ms, pace, offer.client, ++rejections_);
  response.rejection = std::move(rejection);
  return response;
}

void ClientPool::AddJob(Job job) {
  MutexLock lock(&mutex_);
  const std::string id = job.id;
  jobs_[id] = std::move(job);
}

void ClientPool::RemoveJob(const std::string& job) {
  CloseDemand(job);
  MutexLock lock(&mutex_);
  jobs_.erase(job);
}

std::vector<std::string> ClientPool::DemandsInOrder() const {
  using Rank = std::tuple<int64_t, uint64_t, std::string>;
  std::vector<Rank> ranks;
  for (const auto& [id, demand] : demands_) {
    const auto job = jobs_.find(id);
    const auto served = served_.find(id);
    ranks.emplace_back(job == jobs_.end() ? 0 : -int64_t{job->second.priority},
                       served == served_.end() ? 0 : served->second, id);
  }
  std::sort(ranks.begin(), ranks.end());
  std::vector<std::string> order;
  for (Rank& rank : ranks) order.push_back(std::move(std::get<2>(rank)));
  return order;
}

void ClientPool::Reserve(Waiter* waiter, const std::vector<std::string>& order, Later* later) {
  const Offer& offer = waiter->call.offer;
  for (const std::string& job : order) {
    OpenedDemand& opened = demands_.at(job);
    if (opened.demand.excluded.contains(offer.client)) continue;
    if (!WhyNot(opened.demand.need, offer).empty()) continue;
    waiter->reserved = job;
    ++opened.count;
    if (later != nullptr) later->calls.push_back(opened.demand.changed);
    return;
  }
}

void ClientPool::ReserveAll(Later* later) {
  for (auto& [id, demand] : demands_) demand.count = 0;
  const std::vector<std::string> order = DemandsInOrder();
  for (auto& [client, waiter] : waiters_) {
    waiter.reserved.clear();
    if (!order.empty() && !works_for_.contains(client)) Reserve(&waiter, order, nullptr);
  }
  for (auto& [id, demand] : demands_) later->calls.push_back(demand.demand.changed);
}

void ClientPool::OpenDemand(Demand demand) {
  Later later;
  {
    MutexLock lock(&mutex_);
    const std::string job = demand.job;
    demands_[job] = OpenedDemand{std::move(demand), 0};
    ReserveAll(&later);
  }
  later.Run();
}

void ClientPool::CloseDemand(const std::string& job) {
  Later later;
  {
    MutexLock lock(&mutex_);
    if (demands_.erase(job) == 0) return;
    ReserveAll(&later);
  }
  later.Run();
}

uint32_t ClientPool::CandidateCount(const std::string& job) const {
  MutexLock lock(&mutex_);
  const auto it = demands_.find(job);
  return it == demands_.end() ? 0 : it->second.count;
}

std::vector<WaitingClient> ClientPool::Candidates(const std::string& job) const {
  MutexLock lock(&mutex_);
  std::vector<WaitingClient> candidates;
  const auto demand = demands_.find(job);
  if (demand == demands_.end()) return candidates;
  for (const auto& [client, waiter] : waiters_) {
    if (waiter.reserved != job) continue;
    const DatasetRef* dataset = MatchingDataset(demand->second.demand.need, waiter.call.offer);
    const CheckInRequest& request = waiter.call.offer.request;
    candidates.push_back({client, request.capabilities.device_class,
                          dataset == nullptr ? 0 : dataset->example_count_bucket, request.telemetry,
                          request.telemetry_level, LabelOf(request.capabilities, "region"),
                          LabelOf(request.capabilities, "power_domain")});
  }
  return candidates;
}

std::vector<Offer> ClientPool::Claim(const std::string& job,
                                     const std::vector<std::string>& clients) {
  std::vector<Offer> claimed;
  MutexLock lock(&mutex_);
  for (const std::string& client : clients) {
    const auto it = waiters_.find(client);
    if (it == waiters_.end() || it->second.reserved != job) continue;
    if (const auto demand = demands_.find(job); demand != demands_.end()) --demand->second.count;
    it->second.reserved.clear();
    works_for_[client] = job;
    claimed.push_back(it->second.call.offer);
  }
  CountServed(job, claimed.size());
  return claimed;
}

void ClientPool::CountServed(const std::string& job, uint64_t clients) {
  if ((served_[job] += clients) <= kServedWindow) return;
  for (auto& [id, served] : served_) served /= 2;
}

void ClientPool::Unclaim(const std::string& job, const std::string& client) {
  {
    MutexLock lock(&mutex_);
    const auto served = served_.find(job);
    if (served != served_.end() && served->second > 0) --served->second;
  }
  Finish(job, client);
}

void ClientPool::Restore(const std::string& job, const std::string& client) {
  MutexLock lock(&mutex_);
  works_for_[client] = job;
}

void ClientPool::Deliver(const std::string& job, const std::string& client,
                         const std::function<Assignment(const Offer&)>& make) {
  MutexLock lock(&mutex_);
  const auto works = works_for_.find(client);
  const auto waiter = waiters_.find(client);
  if (works == works_for_.end() || works->second != job || waiter == waiters_.end()) return;
  CheckInResponse response;
  response.assignment = make(waiter->second.call.offer);
  Later none;
  Answer(Take(waiter, &none), std::move(response));
}

void ClientPool::Finish(const std::string& job, const std::string& client) {
  Later later;
  {
    MutexLock lock(&mutex_);
    const auto works = works_for_.find(client);
    if (works == works_for_.end() || works->second != job) return;
    works_for_.erase(works);
    const auto waiter = waiters_.find(client);
    if (waiter != waiters_.end()) Reserve(&waiter->second, DemandsInOrder(), &later);
  }
  later.Run();
}

}  // namespace fedwatt
