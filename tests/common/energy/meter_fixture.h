#pragma once

#include <filesystem>
#include <string>

#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "common/energy/energy_meter.h"
#include "gtest/gtest.h"

namespace fedwatt {

// A host of plain files with a clock that stands still unless told.
class MeterTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "meter_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    ASSERT_TRUE(EnsureDir(root_).ok());
    env_.sysfs_root = root_;
    env_.clock = &clock_;
    env_.cpu_time_us = [this] { return own_us_; };
    env_.machine_cpu_time_us = [this] { return machine_us_; };
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(EnsureDir(DirName(root_ + "/" + path)).ok());
    ASSERT_TRUE(WriteFileAtomic(root_ + "/" + path, text).ok());
  }
  void Package(const std::string& id, const std::string& name, int64_t energy_uj) {
    Write("sys/class/powercap/" + id + "/name", name + "\n");
    Write("sys/class/powercap/" + id + "/max_energy_range_uj", "262143328850\n");
    Counter(id, energy_uj);
  }
  void Counter(const std::string& id, int64_t energy_uj) {
    Write("sys/class/powercap/" + id + "/energy_uj", std::to_string(energy_uj) + "\n");
  }

  std::string root_;
  FakeClock clock_;
  EnergyMeterEnv env_;
  int64_t own_us_ = 0;
  int64_t machine_us_ = 0;
};

}  // namespace fedwatt
