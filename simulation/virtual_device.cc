#include "simulation/virtual_device.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "server/driver/attempt_board.h"
#include "simulation/work_units.h"

namespace fedwatt {
namespace {

constexpr double kBytesPerMegabit = 1e6 / 8;
// How far ahead a battery's end or recovery is looked for.
constexpr int64_t kHorizonMs = int64_t{14} * 24 * 3'600'000;
constexpr int64_t kLongWaitMs = 1000;
// A device whose rules are not met is looked at again after that, if nothing changes before.
constexpr int64_t kRecheckMs = 600'000;

VirtualLink LinkOf(const DeviceClass& kind) {
  return {.down_bytes_per_s = kind.down_mbps * kBytesPerMegabit,
          .up_bytes_per_s = kind.up_mbps * kBytesPerMegabit,
          .latency_ms = std::llround(kind.latency_ms)};
}

}  // namespace

std::string DeviceDir(const FleetContext& context, uint64_t device) {
  return absl::StrCat(context.dir, "/d", device);
}

OnOffKey AvailabilityKey(const FleetContext& context, uint64_t device, const DeviceRecord& record) {
  return {.seed = context.seed,
          .device = device,
          .purpose = "availability",
          .hour_offset = context.fleet->classes[record.class_index].utc_offset_hours,
          .start_ms = context.start_ms,
          .region = &context.fleet->classes[record.class_index].region};
}

Plug PlugOf(const FleetContext& context, uint64_t device, const DeviceRecord& record) {
  Plug plug{&context.fleet->charging, AvailabilityKey(context, device, record)};
  plug.key.purpose = "charging";
  return plug;
}

VirtualDevice::DeviceExecutor::~DeviceExecutor() {
  for (const auto& [own, id] : timers_) inner_->Cancel(id);
}

uint64_t VirtualDevice::DeviceExecutor::PostAfter(int64_t delay_ms, Task task) {
  const uint64_t own = next_++;
  timers_[own] = inner_->PostAfter(delay_ms, [this, own, task = std::move(task)]() mutable {
    timers_.erase(own);
    Task taken = std::move(task);
    taken();
  });
  return own;
}

bool VirtualDevice::DeviceExecutor::Cancel(uint64_t timer_id) {
  const auto found = timers_.find(timer_id);
  if (found == timers_.end()) return false;
  inner_->Cancel(found->second);
  timers_.erase(found);
  return true;
}

std::string VirtualDevice::DeviceTrainer::name() const { return device_->context_->bench->name(); }

std::vector<std::string> VirtualDevice::DeviceTrainer::artifact_formats() const {
  return device_->context_->bench->artifact_formats();
}

void VirtualDevice::DeviceTrainer::Expect(const TrainRequest& request) {
  device_->expected_ms_ = device_->ExpectedMs(request);
  device_->expected_id_ = request.assignment_id;
  device_->context_->bench->Begin(request, device_->NowMs() + device_->expected_ms_);
  device_->Note(TraceKind::kTraining, device_->expected_ms_, &request.key);
}

absl::StatusOr<TrainResult> VirtualDevice::DeviceTrainer::Run(
    const TrainRequest& request, const std::atomic<bool>& cancel,
    const std::function<void(const TrainProgress&)>& progress) {
  VirtualDevice& device = *device_;
  device.expected_id_.clear();
  absl::StatusOr<TrainResult> result = absl::CancelledError("training was cancelled");
  if (cancel || device.worked_ms_ > request.time_left_ms) {
    device.context_->bench->Drop(request.assignment_id);
    if (!cancel) {
      result = absl::DeadlineExceededError(absl::StrCat(
          "training takes ", device.worked_ms_, " ms, and ", request.time_left_ms, " ms are left"));
    }
  } else {
    result = device.context_->bench->Take(request, cancel);
  }
  if (result.ok() && device.record_->malicious) {
    const absl::Status altered =
        Tamper(device.context_->fleet->attack, request, device.context_->seed, &*result);
    if (!altered.ok()) result = altered;
  }
  // What was measured on this machine says nothing of the device.
  if (result.ok()) {
    result->metrics.seconds_by_phase.clear();
    result->metrics.peak_memory_bytes = 0;
    result->cpu_time_us = 0;
    if (progress) progress({result->metrics.steps, result->metrics.steps, 0});
  }
  device.clock_.SetBehind(0);
  return result;
}

VirtualDevice::VirtualDevice(const FleetContext* context, uint64_t number, DeviceRecord* record)
    : context_(context),
      number_(number),
      record_(record),
      executor_(context->executor),
      work_executor_(this),
      clock_(context->clock),
      trainer_(this),
      meter_({.train_w = context->fleet->classes[record->class_index].train_w,
              .radio = context->fleet->classes[record->class_index].radio,
              .claim_factor = static_cast<double>(record->claim_factor),
              .clock = &clock_,
              .spent = [this](Phase phase, int64_t uj, int64_t duration_us) {
                Spend(phase, uj, duration_us);
              }}) {}

VirtualDevice::~VirtualDevice() {
  *alive_ = false;
  if (!expected_id_.empty()) context_->bench->Drop(expected_id_);
  session_.reset();
  transport_.reset();
}

void VirtualDevice::Note(TraceKind kind, int64_t value, const RoundKey* key, const Digest* digest) {
  TraceRecord record;
  record.at_ms = NowMs();
  record.kind = kind;
  record.device = static_cast<uint32_t>(number_);
  record.value = value;
  if (key != nullptr) SetKey(*key, &record);
  if (digest != nullptr) record.digest = ShortDigest(*digest);
  context_->trace->Add(record);
}

void VirtualDevice::NoteId(TraceKind kind, int64_t value, const std::string& assignment_id,
                           const Digest* digest) {
  const std::optional<AssignmentName> name = ParseAssignmentName(assignment_id);
  Note(kind, value, name.has_value() ? &name->key : nullptr, digest);
}

bool VirtualDevice::HasConditions() const {
  const FleetModel& fleet = *context_->fleet;
  return battery().capacity_j > 0 || fleet.require_charging ||
         fleet.availability.pattern != OnOffPattern::kAlways;
}

SessionOptions VirtualDevice::MakeOptions(OfferedDataset dataset) const {
  SessionOptions options;
  options.state_dir = DeviceDir(*context_, number_);
  options.sync = false;
  options.lock_state_dir = false;
  options.client_id = absl::StrCat(context_->name_prefix, number_);
  options.app_version = "simulation";
  options.tenant = context_->tenant;
  options.population = context_->population;
  options.role = record_->evaluator ? Role::kEvaluator : Role::kClient;
  options.device_class = kind().name;
  options.memory_bytes = kind().memory_bytes;
  options.labels["class"] = kind().name;
  if (!kind().region.empty()) options.labels["region"] = kind().region;
  if (!kind().power_domain.empty()) options.labels["power_domain"] = kind().power_domain;
  options.codecs = context_->codecs;
  options.datasets = {std::move(dataset)};
  options.condition_check_ms = context_->fleet->condition_check_ms;
  options.stated_costs.up_bytes_per_s = kind().up_mbps * kBytesPerMegabit;
  options.stated_costs.down_bytes_per_s = kind().down_mbps * kBytesPerMegabit;
  options.trusted_keys = context_->trusted_keys;
  options.long_poll_ms = context_->fleet->long_poll_ms;
  if (HasConditions() && !record_->evaluator) {
    if (context_->fleet->min_charge > 0) options.rules.min_charge = context_->fleet->min_charge;
    options.rules.require_charging = context_->fleet->require_charging;
    options.rules.host = [this]() -> std::string {
      AdvanceOnOff(context_->fleet->availability, AvailabilityKey(*context_, number_, *record_),
                   NowMs(), &record_->availability);
      return record_->availability.on ? "" : "its owner uses it";
    };
  }
  return options;
}

LinkEvents VirtualDevice::MakeLinkEvents() {
  LinkEvents events;
  events.check_in_sent = [this](uint64_t bytes) {
    Note(TraceKind::kCheckIn, static_cast<int64_t>(bytes));
  };
  events.check_in_answered = [this](const absl::StatusOr<CheckInResponse>& response, uint64_t) {
    if (response.ok() && response->rejection.has_value()) {
      Note(TraceKind::kRejected, response->rejection->retry_after_ms);
    }
  };
  events.report_sent = [this](const Report& report, uint64_t bytes) {
    NoteId(TraceKind::kReport, static_cast<int64_t>(bytes), report.assignment_id,
           &report.update.sha256);
    if (context_->update_sent && !report.update.inline_data.empty()) {
      context_->update_sent(report.update.sha256, report.update.inline_data);
    }
  };
  if (context_->update_sent) {
    events.upload_begun = [this](const Report& report, const std::string& path) {
      auto bytes = ReadFile(path, report.update.size);
      if (bytes.ok()) context_->update_sent(report.update.sha256, *bytes);
    };
  }
  events.fault = [this](const MessageFault& fault) {
    Note(TraceKind::kFault, static_cast<int64_t>(fault.kind));
  };
  return events;
}

absl::Status VirtualDevice::Start() {
  Note(TraceKind::kWake, record_->wakes++);
  Principal who;
  who.tenant = context_->tenant;
  who.subject = absl::StrCat(context_->name_prefix, number_);
  who.role = record_->evaluator ? Role::kEvaluator : Role::kClient;
  who.method = "simulation";
  transport_ = std::make_unique<VirtualTransport>(context_->host, context_->executor, who,
                                                  LinkOf(kind()), MakeLinkEvents());
  FW_ASSIGN_OR_RETURN(OfferedDataset dataset, context_->dataset(number_, record_));
  SessionDeps deps;
  deps.clock = &clock_;
  deps.executor = &executor_;
  deps.work_executor = &work_executor_;
  deps.transport = transport_.get();
  deps.trainer = &trainer_;
  deps.meter = &meter_;
  deps.observer = this;
  if (HasConditions() && !record_->evaluator) deps.conditions = this;
  FW_ASSIGN_OR_RETURN(session_, Session::Open(MakeOptions(std::move(dataset)), deps));
  SetLoad(0);
  session_->Start();
  return absl::OkStatus();
}

// ---- work in virtual time

int64_t VirtualDevice::ExpectedMs(const TrainRequest& request) const {
  const uint64_t parameters =
      request.bundle == nullptr ? 1 : request.bundle->header().manifest.TrainableElements();
  const bool train = request.kind == AssignmentKind::kTrain;
  const double flops = train ? TrainingFlops(request.plan, parameters, record_->examples)
                             : EvaluationFlops(request.plan, parameters, record_->examples);
  const double scale = record_->evaluator ? 1 : context_->fleet->work_scale;
  const double seconds = flops * scale / (kind().gflops * 1e9);
  // Longer than any deadline is as long as for ever.
  return std::max<int64_t>(1, static_cast<int64_t>(std::min(seconds * 1000, 1e12)));
}

void VirtualDevice::BeginWork(Task task) {
  work_ = std::move(task);
  work_begun_ms_ = NowMs();
  const int64_t work_ms = std::exchange(expected_ms_, 0);
  if (work_ms > 0) {
    SetLoad(kind().train_w);
    PlanDropout(work_ms);
  }
  work_timer_ = executor_.PostAfter(work_ms, [this] { EndWork(); });
}

void VirtualDevice::EndWork() {
  executor_.Cancel(std::exchange(work_timer_, 0));
  executor_.Cancel(std::exchange(dropout_timer_, 0));
  SetLoad(0);
  worked_ms_ = NowMs() - work_begun_ms_;
  clock_.SetBehind(worked_ms_);
  Task task = std::move(work_);
  task();
  clock_.SetBehind(0);
}

void VirtualDevice::PlanDropout(int64_t work_ms) {
  const FleetModel& fleet = *context_->fleet;
  if (fleet.dropouts_per_hour <= 0 || record_->evaluator) return;
  Rng rng(RngKey{.job = "",
                 .round = record_->assignments,
                 .client = absl::StrCat(number_),
                 .purpose = "dropout",
                 .seed = context_->seed});
  const double hours = -std::log1p(-rng.Uniform01()) / fleet.dropouts_per_hour;
  const double away_s = -std::log1p(-rng.Uniform01()) * fleet.dropout_s;
  const double at_ms = hours * 3'600'000;
  if (at_ms >= static_cast<double>(work_ms)) return;
  dropout_timer_ = executor_.PostAfter(static_cast<int64_t>(at_ms), [this, away_s] {
    dropout_timer_ = 0;
    ++record_->dropouts;
    ++context_->tally->dropouts;
    Die(TraceKind::kDropout, NowMs() + 1 + static_cast<int64_t>(away_s * 1000));
  });
}

// ---- battery

const BatteryModel& VirtualDevice::battery() const {
  static const BatteryModel kMains;
  return record_->evaluator ? kMains : kind().battery;
}

void VirtualDevice::CatchUpBattery() {
  AdvanceBattery(battery(), PlugOf(*context_, number_, *record_), load_w_, NowMs(),
                 &record_->battery);
}

void VirtualDevice::SetLoad(double load_w) {
  CatchUpBattery();
  load_w_ = load_w;
  if (battery().capacity_j <= 0) return;
  executor_.Cancel(std::exchange(empty_timer_, 0));
  const std::optional<int64_t> empty_ms = EmptyAtMs(battery(), PlugOf(*context_, number_, *record_),
                                                    load_w_, kHorizonMs, record_->battery);
  if (!empty_ms.has_value()) return;
  empty_timer_ = executor_.PostAfter(*empty_ms - NowMs(), [this] {
    empty_timer_ = 0;
    CatchUpBattery();
    ++record_->deaths;
    ++context_->tally->empty_batteries;
    const std::optional<int64_t> back_ms = ChargedAtMs(
        battery(), PlugOf(*context_, number_, *record_),
        context_->fleet->revive_charge * battery().capacity_j, kHorizonMs, record_->battery);
    Die(TraceKind::kEmptyBattery, back_ms.value_or(INT64_MAX));
  });
}

void VirtualDevice::Emit(int64_t energy_uj, int64_t begin_ms, int64_t end_ms) {
  if (context_->carbon == nullptr || context_->carbon->empty()) return;
  auto series = context_->carbon->find(kind().region);
  if (series == context_->carbon->end()) series = context_->carbon->find("");
  if (series == context_->carbon->end()) {
    context_->tally->without_grams_uj += energy_uj;
    return;
  }
  constexpr double kUjPerKwh = 3.6e12;
  const int64_t midnight_ms = MidnightOf(context_->start_ms);
  const double g_per_kwh =
      series->second.grams.MeanOver(begin_ms - midnight_ms, end_ms - midnight_ms);
  const double grams = static_cast<double>(energy_uj) / kUjPerKwh * g_per_kwh;
  context_->tally->emitted_ug = context_->tally->emitted_ug.value_or(0) + std::llround(grams * 1e6);
}

// Joules that were spent between two moments.
void VirtualDevice::Book(int64_t energy_uj, int64_t begin_ms, int64_t end_ms) {
  record_->spent_uj += energy_uj;
  if (!record_->evaluator) context_->tally->spent_uj += energy_uj;
  Emit(energy_uj, begin_ms, end_ms);
}

// Of work the battery feels the load itself; a transfer is a moment.
void VirtualDevice::Spend(Phase phase, int64_t energy_uj, int64_t duration_us) {
  Book(energy_uj, clock_.NowMs() - duration_us / 1000, clock_.NowMs());
  if (phase != Phase::kDownload && phase != Phase::kUpload) return;
  if (battery().capacity_j <= 0) return;
  CatchUpBattery();
  if (!record_->battery.charging.on) {
    record_->battery.charge_j =
        std::max(0.0, record_->battery.charge_j - static_cast<double>(energy_uj) * 1e-6);
  }
  // The end of the battery has moved.
  executor_.PostAfter(0, [this] { SetLoad(load_w_); });
}

DeviceState VirtualDevice::Read() {
  CatchUpBattery();
  DeviceState state;
  if (battery().capacity_j <= 0) {
    state.charging = true;
    return state;
  }
  state.charging = record_->battery.charging.on;
  state.charge = record_->battery.charge_j / battery().capacity_j;
  state.capacity_wh = battery().capacity_j / 3600;
  return state;
}

// ---- coming and going

void VirtualDevice::Die(TraceKind why, int64_t back_ms) {
  if (retiring_) return;
  const bool working = work_ != nullptr;
  const int64_t lost_uj =
      working ? std::llround(load_w_ * static_cast<double>(NowMs() - work_begun_ms_) * 1000) : 0;
  if (working) Book(lost_uj, work_begun_ms_, NowMs());
  record_->lost_uj += lost_uj;
  context_->tally->lost_uj += lost_uj;
  record_->off = true;
  if (working && why == TraceKind::kEmptyBattery) ++context_->tally->emptied_at_work;
  Note(why, lost_uj);
  // Nothing happens on it any more, not even in this moment.
  executor_.Cancel(std::exchange(work_timer_, 0));
  work_ = nullptr;
  session_.reset();
  RetireSoon(back_ms);
}

void VirtualDevice::RetireSoon(int64_t wake_ms) {
  if (std::exchange(retiring_, true)) return;
  context_->executor->Post([alive = alive_, context = context_, number = number_, wake_ms] {
    if (*alive) context->retire(number, wake_ms);
  });
}

// When its owner's rules may be met again: idle, a battery only falls until it is plugged in.
int64_t VirtualDevice::NextChanceMs() {
  CatchUpBattery();
  AdvanceOnOff(context_->fleet->availability, AvailabilityKey(*context_, number_, *record_),
               NowMs(), &record_->availability);
  int64_t next_ms = NowMs() + kRecheckMs;
  if (!record_->availability.on) {
    next_ms = record_->availability.until_ms;
  } else if (battery().capacity_j > 0 && !record_->battery.charging.on) {
    next_ms = record_->battery.charging.until_ms;
  }
  return std::max(next_ms, NowMs() + kLongWaitMs);
}

void VirtualDevice::Resolve(const SessionEvent& event) {
  --held_;
  unfinished_ = false;
  NoteId(TraceKind::kResolved, static_cast<int64_t>(event.outcome), event.assignment_id);
  if (event.report == nullptr) return;
  int64_t sum_uj = 0;
  for (const EnergySample& sample : event.report->energy) sum_uj += sample.energy_uj.value_or(0);
  const bool useful = event.outcome == Outcome::kCommitted;
  (useful ? context_->tally->useful_uj : context_->tally->wasted_uj) += sum_uj;
}

void VirtualDevice::OnEvent(const SessionEvent& event) {
  switch (event.kind) {
    case SessionEventKind::kRecovered:
      ++held_;
      unfinished_ |= event.text != "reported";
      return;
    case SessionEventKind::kAssigned:
      ++held_;
      unfinished_ = true;
      ++record_->assignments;
      return NoteId(TraceKind::kAssigned, 0, event.assignment_id);
    case SessionEventKind::kDownloading:
      return NoteId(TraceKind::kDownload, static_cast<int64_t>(event.total_bytes),
                    event.assignment_id);
    case SessionEventKind::kTrained:
      return NoteId(TraceKind::kTrained, static_cast<int64_t>(event.report->metrics.examples),
                    event.assignment_id);
    case SessionEventKind::kReported:
      unfinished_ = false;
      return NoteId(TraceKind::kReplied, static_cast<int64_t>(event.outcome), event.assignment_id);
    case SessionEventKind::kResolved:
      return Resolve(event);
    case SessionEventKind::kFailed: {
      ++(*context_->problems)[absl::StrCat("failed: ", event.text)];
      const Digest digest = Sha256Of(AsBytes(event.text));
      return NoteId(TraceKind::kFailed, 0, event.assignment_id, &digest);
    }
    case SessionEventKind::kProblem:
    case SessionEventKind::kDenied:
      ++(*context_->problems)[absl::StrCat(SessionEventName(event.kind), ": ", event.text)];
      return;
    case SessionEventKind::kWaiting:
      if (context_->goes_dormant && !unfinished_ && event.delay_ms >= kLongWaitMs) {
        RetireSoon(NowMs() + event.delay_ms);
      }
      return;
    case SessionEventKind::kConditions:
      if (!absl::StartsWith(event.text, "not met")) return;
      // Work that is to stop ends at its next step, not at its end.
      if (work_ != nullptr && work_timer_ != 0) {
        executor_.Cancel(work_timer_);
        work_timer_ = executor_.PostAfter(0, [this] { EndWork(); });
      }
      if (!unfinished_) RetireSoon(NextChanceMs());
      return;
    default:
      return;
  }
}

}  // namespace fedwatt
