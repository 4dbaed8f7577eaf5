#include "common/energy/joined_meter.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

class JoinedMeter final : public EnergyMeter {
 public:
  JoinedMeter(std::unique_ptr<EnergyMeter> main, std::vector<std::unique_ptr<EnergyMeter>> beside)
      : main_(std::move(main)), beside_(std::move(beside)) {}

  std::string name() const override { return main_->name(); }
  EnergyQuality quality() const override { return main_->quality(); }
  EnergyScope scope() const override { return main_->scope(); }
  std::string description() const override {
    std::string text = main_->description();
    for (const auto& meter : beside_) absl::StrAppend(&text, "; beside it ", meter->description());
    return text;
  }
  bool Concerns(Phase phase, uint64_t bytes) const override {
    return main_->Concerns(phase, bytes);
  }

  Window Begin(Phase phase) override {
    std::vector<Window>& windows = open_[++last_];
    for (const auto& meter : beside_) windows.push_back(meter->Begin(phase));
    windows.push_back(main_->Begin(phase));  // last in, first out: its window is the narrowest
    return last_;
  }

  EnergySample End(Window window, uint64_t bytes) override {
    const auto it = open_.find(window);
    if (it == open_.end()) return main_->End(0, bytes);  // no meter's windows begin at 0
    const std::vector<Window> windows = std::move(it->second);
    open_.erase(it);
    EnergySample sample = main_->End(windows.back(), bytes);
    for (size_t i = 0; i < beside_.size(); ++i) {
      EnergySample other = beside_[i]->End(windows[i], bytes);
      if (beside_[i]->Concerns(other.phase, bytes)) sample.beside.push_back(std::move(other));
    }
    return sample;
  }

  void Poll() override {
    main_->Poll();
    for (const auto& meter : beside_) meter->Poll();
  }
  int64_t PollPeriodUs() const override {
    int64_t period_us = main_->PollPeriodUs();
    for (const auto& meter : beside_) {
      const int64_t other_us = meter->PollPeriodUs();
      if (other_us > 0) period_us = period_us > 0 ? std::min(period_us, other_us) : other_us;
    }
    return period_us;
  }

 private:
  const std::unique_ptr<EnergyMeter> main_;
  const std::vector<std::unique_ptr<EnergyMeter>> beside_;
  Window last_ = 0;
  std::map<Window, std::vector<Window>> open_;  // of beside_ in order, then of main_
};

}  // namespace

std::unique_ptr<EnergyMeter> JoinMeters(std::unique_ptr<EnergyMeter> main,
                                        std::vector<std::unique_ptr<EnergyMeter>> beside) {
  if (beside.empty()) return main;
  return std::make_unique<JoinedMeter>(std::move(main), std::move(beside));
}

}  // namespace fedwatt
