#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/energy/energy_meter.h"
#include "gtest/gtest.h"
#include "tests/common/energy/host_tree.h"

namespace fedwatt {

// Counters that a test turns by hand.
class FakePerf {
 public:
  PerfCounterOpener opener() {
    return [this](const PerfEvent& event) -> absl::StatusOr<std::unique_ptr<PerfCounter>> {
      if (!open_error.ok()) return open_error;
      opened.push_back(event);
      return std::make_unique<Counter>(this, event.config);
    };
  }

  absl::Status open_error;
  absl::Status read_error;
  std::map<uint64_t, uint64_t> counts;  // by config, each processor the same
  std::vector<PerfEvent> opened;

 private:
  class Counter final : public PerfCounter {
   public:
    Counter(FakePerf* perf, uint64_t config) : perf_(perf), config_(config) {}
    absl::StatusOr<uint64_t> Read() override {
      if (!perf_->read_error.ok()) return perf_->read_error;
      return perf_->counts[config_];
    }

   private:
    FakePerf* const perf_;
    const uint64_t config_;
  };
};

// A driver with GPUs whose counters a test turns by hand.
struct FakeGpus {
  std::vector<absl::StatusOr<uint64_t>> energy_mj;
  absl::Status load_error = absl::NotFoundError("no NVIDIA driver here");

  NvmlLoader loader() {
    return [this]() -> absl::StatusOr<std::unique_ptr<NvmlLibrary>> {
      if (!load_error.ok()) return load_error;
      return std::make_unique<Library>(this);
    };
  }

 private:
  class Library final : public NvmlLibrary {
   public:
    explicit Library(FakeGpus* gpus) : gpus_(gpus) {}
    absl::StatusOr<uint32_t> DeviceCount() override {
      return static_cast<uint32_t>(gpus_->energy_mj.size());
    }
    absl::StatusOr<uint64_t> TotalEnergyMj(uint32_t device) override {
      return gpus_->energy_mj[device];
    }

   private:
    FakeGpus* const gpus_;
  };
};

// A host of plain files, with a clock and counters of CPU time that stand still unless told. No
// file, event or library of the real machine is touched.
class MeterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    tree_ = HostTree(testing::TempDir() + "meter_" + name);
    env_.sysfs_root = tree_.root();
    env_.read_file = [this](const std::string& path) -> absl::StatusOr<std::string> {
      const auto fault = faults_.find(path);
      if (fault != faults_.end()) return fault->second;
      return ReadFile(path, 4096);
    };
    env_.clock = &clock_;
    env_.cpu_time_us = [this] { return own_us_; };
    env_.machine_cpu_time_us = [this] { return machine_us_; };
    env_.open_perf = perf_.opener();
    env_.load_nvml = gpus_.loader();
  }
  void TearDown() override { std::filesystem::remove_all(tree_.root()); }

  // From now on reading `path` fails so.
  void Fail(const std::string& path, int error_number) {
    faults_[tree_.root() + "/" + path] = FileError(error_number, "read", tree_.root() + "/" + path);
  }

  // Lets `ms` pass with the meter polled as it asks for, and the machine busy on `cores`, our own
  // process on `own_cores` of them.
  void Pass(EnergyMeter& meter, int64_t ms, double cores = 2, double own_cores = 0.5,
            const std::function<void(double seconds)>& meanwhile = nullptr) {
    const int64_t period_ms = meter.PollPeriodUs() > 0 ? meter.PollPeriodUs() / 1000 : ms;
    while (ms > 0) {
      const int64_t step_ms = std::min(ms, period_ms);
      ms -= step_ms;
      clock_.AdvanceMs(step_ms);
      machine_us_ += static_cast<int64_t>(cores * static_cast<double>(step_ms) * 1000);
      own_us_ += static_cast<int64_t>(own_cores * static_cast<double>(step_ms) * 1000);
      if (meanwhile) meanwhile(static_cast<double>(step_ms) * 1e-3);
      meter.Poll();
    }
  }

  // One window in which `work` happens.
  EnergySample Measure(EnergyMeter& meter, const std::function<void()>& work) {
    const auto window = meter.Begin(Phase::kTrain);
    work();
    return meter.End(window, 0);
  }

  HostTree tree_;
  FakeClock clock_;
  FakePerf perf_;
  FakeGpus gpus_;
  EnergyMeterEnv env_;
  int64_t own_us_ = 0;
  int64_t machine_us_ = 0;

 private:
  std::map<std::string, absl::Status> faults_;
};

}  // namespace fedwatt
