#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/sdk/session.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "simulation/coordinator_host.h"
#include "simulation/device_record.h"
#include "simulation/fleet_model.h"
#include "simulation/time_series.h"
#include "simulation/trace.h"
#include "simulation/training_bench.h"
#include "simulation/virtual_meter.h"
#include "simulation/virtual_transport.h"

// A device that is awake: the production session on its state folder, with virtual time, link,
// battery and meter around it.
//
// Work takes virtual time: what the trainer is told to expect says how long, and the work's task
// runs when that time is over, seeing the clock as it was at its beginning until it is done. So a
// device that dies meanwhile has written nothing of it.
namespace fedwatt {

// What became of the fleet's work, in truth: whatever was reported and booked.
struct FleetTally {
  uint64_t empty_batteries = 0;
  uint64_t emptied_at_work = 0;  // of these
  uint64_t dropouts = 0;

  // By all work of clients, as it is spent; work that is not over is not in it.
  int64_t spent_uj = 0;
  // The same work once its device learns the outcome, as claimed, and that of evaluators.
  int64_t useful_uj = 0;  // of committed assignments
  int64_t wasted_uj = 0;  // of refused, failed and abandoned ones
  int64_t lost_uj = 0;    // of work that ended with the device

  // All joules of the work by their time and their device's grid; absent where no series is known.
  std::optional<int64_t> emitted_ug;
  int64_t without_grams_uj = 0;  // of devices whose grid nobody knows
};

// What the devices of one simulation share. Everything outlives them.
struct FleetContext {
  const FleetModel* fleet = nullptr;
  uint64_t seed = 0;
  uint64_t devices = 0;
  int64_t start_ms = 0;
  std::string dir;  // of state folders
  FakeClock* clock = nullptr;
  ManualExecutor* executor = nullptr;
  CoordinatorHost* host = nullptr;
  Trace* trace = nullptr;
  TrainingBench* bench = nullptr;
  std::string name_prefix = "device-";
  std::string population = "default";
  std::string tenant = "default";
  std::vector<std::string> codecs;  // offered; empty: all
  std::vector<PublicKey> trusted_keys;
  // The dataset of a device; its examples, where the record does not say them yet.
  std::function<absl::StatusOr<OfferedDataset>(uint64_t device, DeviceRecord* record)> dataset;
  FleetTally* tally = nullptr;
  // By region; "": of devices whose region is not there.
  const std::map<std::string, CarbonSeries>* carbon = nullptr;
  std::map<std::string, uint64_t>* problems = nullptr;  // what sessions complained of, how often
  // Every update that is sent, where somebody wants to know.
  std::function<void(const Digest& sha256, const std::string& bytes)> update_sent;
  bool goes_dormant = true;  // else a device that waits stays in memory
  // The device is to be put away, and to be woken at `wake_ms`; called in a task of its own.
  std::function<void(uint64_t device, int64_t wake_ms)> retire;
};

// Where its session's files are.
std::string DeviceDir(const FleetContext& context, uint64_t device);
OnOffKey AvailabilityKey(const FleetContext& context, uint64_t device, const DeviceRecord& record);
Plug PlugOf(const FleetContext& context, uint64_t device, const DeviceRecord& record);

// One thread. Its destruction is the end of the process on the device, as by kill -9.
class VirtualDevice final : public SessionObserver, public DeviceConditions {
 public:
  VirtualDevice(const FleetContext* context, uint64_t number, DeviceRecord* record);
  ~VirtualDevice() override;

  // Opens the session and starts it.
  absl::Status Start();

  // Whether anything is left in its state folder that it needs.
  bool holds_state() const { return held_ > 0; }

  void OnEvent(const SessionEvent& event) override;
  DeviceState Read() override;

 private:
  // The session's executor: the simulation's, with timers that end with the device.
  class DeviceExecutor final : public Executor {
   public:
    explicit DeviceExecutor(ManualExecutor* inner) : inner_(inner) {}
    ~DeviceExecutor() override;
    void Post(Task task) override { inner_->Post(std::move(task)); }
    uint64_t PostAfter(int64_t delay_ms, Task task) override;
    bool Cancel(uint64_t timer_id) override;

   private:
    ManualExecutor* const inner_;
    uint64_t next_ = 1;
    std::map<uint64_t, uint64_t> timers_;  // own id -> the simulation's
  };

  // The session's work executor: one task at a time, which takes as long as was expected.
  class WorkExecutor final : public Executor {
   public:
    explicit WorkExecutor(VirtualDevice* device) : device_(device) {}
    void Post(Task task) override { device_->BeginWork(std::move(task)); }
    uint64_t PostAfter(int64_t delay_ms, Task task) override {
      return device_->executor_.PostAfter(delay_ms, std::move(task));
    }
    bool Cancel(uint64_t timer_id) override { return device_->executor_.Cancel(timer_id); }

   private:
    VirtualDevice* const device_;
  };

  class DeviceClock final : public Clock {
   public:
    explicit DeviceClock(const FakeClock* inner) : inner_(inner) {}
    int64_t NowMs() const override { return inner_->NowMs() - behind_ms_; }
    int64_t MonotonicUs() const override { return inner_->MonotonicUs() - behind_ms_ * 1000; }
    void SetBehind(int64_t behind_ms) { behind_ms_ = behind_ms; }

   private:
    const FakeClock* const inner_;
    int64_t behind_ms_ = 0;
  };

  // The bench's trainer as this device's: it takes the device's time and says what it took.
  class DeviceTrainer final : public Trainer {
   public:
    explicit DeviceTrainer(VirtualDevice* device) : device_(device) {}
    std::string name() const override;
    std::vector<std::string> artifact_formats() const override;
    void Expect(const TrainRequest& request) override;
    absl::StatusOr<TrainResult> Run(
        const TrainRequest& request, const std::atomic<bool>& cancel,
        const std::function<void(const TrainProgress&)>& progress) override;

   private:
    VirtualDevice* const device_;
  };

  const DeviceClass& kind() const { return context_->fleet->classes[record_->class_index]; }
  // An evaluator is a machine of the operator's: on mains, always there, its work not scaled.
  const BatteryModel& battery() const;
  int64_t NowMs() const { return context_->clock->NowMs(); }
  SessionOptions MakeOptions(OfferedDataset dataset) const;
  LinkEvents MakeLinkEvents();
  void Note(TraceKind kind, int64_t value, const RoundKey* key = nullptr,
            const Digest* digest = nullptr);
  void NoteId(TraceKind kind, int64_t value, const std::string& assignment_id,
              const Digest* digest = nullptr);
  bool HasConditions() const;

  void BeginWork(Task task);
  void EndWork();
  int64_t ExpectedMs(const TrainRequest& request) const;
  void PlanDropout(int64_t work_ms);
  void SetLoad(double load_w);
  void Book(int64_t energy_uj, int64_t begin_ms, int64_t end_ms);
  void Spend(Phase phase, int64_t energy_uj, int64_t duration_us);
  void Emit(int64_t energy_uj, int64_t begin_ms, int64_t end_ms);
  void CatchUpBattery();
  void Die(TraceKind why, int64_t back_ms);
  void RetireSoon(int64_t wake_ms);
  int64_t NextChanceMs();
  void Resolve(const SessionEvent& event);

  const FleetContext* const context_;
  const uint64_t number_;
  DeviceRecord* const record_;
  DeviceExecutor executor_;
  WorkExecutor work_executor_;
  DeviceClock clock_;
  DeviceTrainer trainer_;
  VirtualMeter meter_;
  std::unique_ptr<VirtualTransport> transport_;
  std::unique_ptr<Session> session_;

  Task work_;  // that waits for its time to be over
  uint64_t work_timer_ = 0;
  int64_t work_begun_ms_ = 0;
  int64_t expected_ms_ = 0;  // of the work that comes next
  int64_t worked_ms_ = 0;    // of the work that runs
  std::string expected_id_;
  double load_w_ = 0;
  uint64_t empty_timer_ = 0;
  uint64_t dropout_timer_ = 0;
  int held_ = 0;
  bool unfinished_ = false;
  bool retiring_ = false;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fedwatt
