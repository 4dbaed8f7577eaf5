#include "common/energy/polled_meter.h"

#include <set>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {
namespace {

class PolledMeter final : public EnergyMeter {
 public:
  PolledMeter(std::unique_ptr<EnergyMeter> meter, const PollTimerFactory& start_polling)
      : meter_(std::move(meter)) {
    const int64_t period_us = meter_->PollPeriodUs();
    if (period_us > 0) timer_ = start_polling(period_us, [this] { Poll(); });
  }

  std::string name() const override { return meter_->name(); }
  EnergyQuality quality() const override { return meter_->quality(); }
  EnergyScope scope() const override { return meter_->scope(); }
  std::string description() const override { return meter_->description(); }
  int64_t PollPeriodUs() const override { return meter_->PollPeriodUs(); }
  bool Concerns(Phase phase, uint64_t bytes) const override {
    return meter_->Concerns(phase, bytes);
  }

  Window Begin(Phase phase) override {
    MutexLock lock(&mutex_);
    const Window window = meter_->Begin(phase);
    open_.insert(window);
    if (open_.size() == 1 && timer_ != nullptr) timer_->Resume();
    return window;
  }

  EnergySample End(Window window, uint64_t bytes) override {
    MutexLock lock(&mutex_);
    if (open_.erase(window) > 0 && open_.empty() && timer_ != nullptr) timer_->Pause();
    return meter_->End(window, bytes);
  }

  void Poll() override {
    MutexLock lock(&mutex_);
    if (!open_.empty()) meter_->Poll();
  }

 private:
  Mutex mutex_;
  const std::unique_ptr<EnergyMeter> meter_;  // Begin, End and Poll under mutex_
  std::set<Window> open_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<PollTimer> timer_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<EnergyMeter> PollWhileOpen(std::unique_ptr<EnergyMeter> meter,
                                           const PollTimerFactory& start_polling) {
  return std::make_unique<PolledMeter>(std::move(meter), start_polling);
}

}  // namespace fedwatt
