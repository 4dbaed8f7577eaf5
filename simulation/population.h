#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "simulation/device_record.h"
#include "simulation/virtual_device.h"

// All devices of a simulation: records of those that are dormant, and those that are awake.
//
//   Population population(context, devices, evaluators);
//   population.Begin();        // first arrivals
namespace fedwatt {

struct PopulationOptions {
  uint64_t devices = 0;     // clients
  uint64_t evaluators = 0;  // numbered after them; always there, on mains
  // While so many are awake or fewer, those that wait stay in memory.
  uint64_t most_awake = 1000;
  // Whether a state folder without work in it is kept (caches, costs, residuals).
  bool keeps_storage = true;
};

// One thread.
class Population {
 public:
  // What `context` leaves open (retire, goes_dormant, devices) is filled in here.
  Population(FleetContext context, PopulationOptions options);
  ~Population();

  void Begin();

  const std::vector<DeviceRecord>& records() const { return records_; }
  size_t awake() const { return awake_.size(); }
  size_t most_awake() const { return most_awake_; }
  const FleetTally& tally() const { return tally_; }
  const std::map<std::string, uint64_t>& problems() const { return problems_; }

 private:
  using Wake = std::pair<int64_t, uint32_t>;

  void Born(uint64_t device);
  void Schedule(uint64_t device, int64_t wake_ms);
  void WakeDue();
  void WakeUp(uint64_t device);
  // When the device may be woken, if not now.
  std::optional<int64_t> NotBefore(uint64_t device);
  void Retire(uint64_t device, int64_t wake_ms);
  void Note(TraceKind kind, uint64_t device, int64_t value);

  FleetContext context_;
  const PopulationOptions options_;
  FleetTally tally_;
  std::map<std::string, uint64_t> problems_;
  std::vector<DeviceRecord> records_;
  std::map<uint64_t, std::unique_ptr<VirtualDevice>> awake_;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<Wake>> queue_;
  int64_t timer_at_ms_ = INT64_MAX;
  uint64_t timer_ = 0;
  size_t most_awake_ = 0;
};

}  // namespace fedwatt
