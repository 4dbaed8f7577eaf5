#include "simulation/population.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

constexpr int64_t kHorizonMs = int64_t{14} * 24 * 3'600'000;
constexpr int64_t kRetryOpenMs = 60'000;

}  // namespace

Population::Population(FleetContext context, PopulationOptions options)
    : context_(std::move(context)), options_(options) {
  context_.devices = options_.devices;
  context_.goes_dormant = options_.devices + options_.evaluators > options_.most_awake;
  context_.tally = &tally_;
  context_.problems = &problems_;
  context_.retire = [this](uint64_t device, int64_t wake_ms) { Retire(device, wake_ms); };
  records_.resize(options_.devices + options_.evaluators);
}

Population::~Population() {
  if (timer_ != 0) context_.executor->Cancel(timer_);
}

void Population::Born(uint64_t device) {
  DeviceRecord& record = records_[device];
  record.battery.at_ms = context_.start_ms;
  if (device >= options_.devices) {
    record.evaluator = true;
    record.class_index = 0;
    return;
  }
  const DeviceTraits traits = TraitsOf(*context_.fleet, context_.seed, device, options_.devices);
  record.class_index = static_cast<uint16_t>(traits.class_index);
  record.examples = static_cast<uint32_t>(std::min<uint64_t>(traits.examples, UINT32_MAX));
  record.claim_factor = traits.claim_factor;
  record.malicious = traits.malicious;
  const BatteryModel& battery = context_.fleet->classes[record.class_index].battery;
  record.battery.charge_j = traits.initial_charge * battery.capacity_j;
}

void Population::Begin() {
  Rng rng(
      RngKey{.job = "", .round = 0, .client = "", .purpose = "arrivals", .seed = context_.seed});
  const double span_ms =
      1000 * static_cast<double>(options_.devices) / context_.fleet->arrivals_per_s;
  for (uint64_t device = 0; device < records_.size(); ++device) {
    Born(device);
    const double at_ms = records_[device].evaluator ? 0 : rng.Uniform01() * span_ms;
    queue_.emplace(context_.start_ms + static_cast<int64_t>(at_ms), static_cast<uint32_t>(device));
  }
  if (!queue_.empty()) Schedule(queue_.top().second, queue_.top().first);
}

void Population::Note(TraceKind kind, uint64_t device, int64_t value) {
  TraceRecord record;
  record.at_ms = context_.clock->NowMs();
  record.kind = kind;
  record.device = static_cast<uint32_t>(device);
  record.value = value;
  context_.trace->Add(record);
}

// Sets the timer for the queue's head; `device` is in the queue already or not.
void Population::Schedule(uint64_t device, int64_t wake_ms) {
  records_[device].wake_ms = wake_ms;
  if (queue_.empty() || queue_.top().second != device || queue_.top().first != wake_ms) {
    queue_.emplace(wake_ms, static_cast<uint32_t>(device));
  }
  const int64_t head_ms = queue_.top().first;
  if (timer_ != 0 && timer_at_ms_ <= head_ms) return;
  if (timer_ != 0) context_.executor->Cancel(timer_);
  timer_at_ms_ = head_ms;
  timer_ = context_.executor->PostAfter(head_ms - context_.clock->NowMs(), [this] {
    timer_ = 0;
    WakeDue();
  });
}

void Population::WakeDue() {
  const int64_t now_ms = context_.clock->NowMs();
  while (!queue_.empty() && queue_.top().first <= now_ms) {
    const uint64_t device = queue_.top().second;
    queue_.pop();
    WakeUp(device);
  }
  if (!queue_.empty()) Schedule(queue_.top().second, queue_.top().first);
}

std::optional<int64_t> Population::NotBefore(uint64_t device) {
  DeviceRecord& record = records_[device];
  if (record.evaluator) return std::nullopt;
  const int64_t now_ms = context_.clock->NowMs();
  const BatteryModel& battery = context_.fleet->classes[record.class_index].battery;
  const Plug plug = PlugOf(context_, device, record);
  AdvanceBattery(battery, plug, 0, now_ms, &record.battery);
  if (battery.capacity_j > 0) {
    const double enough_j = context_.fleet->revive_charge * battery.capacity_j;
    const bool empty = record.battery.charge_j <= 0 && !record.battery.charging.on;
    if (empty || (record.off && record.battery.charge_j < enough_j)) {
      record.off = true;
      return std::max(now_ms + 1, ChargedAtMs(battery, plug, enough_j, kHorizonMs, record.battery)
                                      .value_or(now_ms + kHorizonMs));
    }
  }
  AdvanceOnOff(context_.fleet->availability, AvailabilityKey(context_, device, record), now_ms,
               &record.availability);
  if (!record.availability.on) return record.availability.until_ms;
  return std::nullopt;
}

void Population::WakeUp(uint64_t device) {
  DeviceRecord& record = records_[device];
  if (const std::optional<int64_t> later_ms = NotBefore(device)) {
    if (*later_ms != INT64_MAX) queue_.emplace(*later_ms, static_cast<uint32_t>(device));
    return;
  }
  if (std::exchange(record.off, false)) Note(TraceKind::kRevived, device, 0);
  auto woken = std::make_unique<VirtualDevice>(&context_, device, &record);
  VirtualDevice* const started = woken.get();
  awake_[device] = std::move(woken);
  most_awake_ = std::max(most_awake_, awake_.size());
  if (const absl::Status status = started->Start(); !status.ok()) {
    ++problems_[absl::StrCat("cannot start: ", StatusText(status))];
    awake_.erase(device);
    queue_.emplace(context_.clock->NowMs() + kRetryOpenMs, static_cast<uint32_t>(device));
  }
}

void Population::Retire(uint64_t device, int64_t wake_ms) {
  const auto found = awake_.find(device);
  if (found == awake_.end()) return;
  const bool holds = found->second->holds_state();
  awake_.erase(found);
  DeviceRecord& record = records_[device];
  record.has_folder = holds || options_.keeps_storage;
  if (!record.has_folder) RemoveTree(DeviceDir(context_, device));
  Note(TraceKind::kSleep, device, wake_ms == INT64_MAX ? -1 : wake_ms - context_.clock->NowMs());
  if (wake_ms != INT64_MAX) Schedule(device, wake_ms);
}

}  // namespace fedwatt
