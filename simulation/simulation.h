#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/job_spec.h"
#include "common/model/job_view.h"
#include "server/driver/coordinator.h"
#include "simulation/faults.h"
#include "simulation/fleet_model.h"
#include "simulation/population.h"
#include "simulation/time_series.h"
#include "simulation/trace.h"
#include "simulation/training_bench.h"
#include "simulation/window_target.h"

// One job on one simulated fleet: the production coordinator, sessions, codecs, selectors and
// ledger, under a virtual clock (docs/simulation.md).
//
//   FW_ASSIGN_OR_RETURN(auto simulation, Simulation::Create(options, bench));
//   FW_ASSIGN_OR_RETURN(SimulationResult result, simulation->Run(progress));
//
// The same options give the same trace, whatever the machine, its load and the number of workers.
namespace fedwatt {

struct SimulationOptions {
  JobSpec job;
  // The job's bundle; it is signed here with a key of the simulation's own.
  std::string bundle;
  FleetModel fleet;
  uint64_t devices = 100;
  uint64_t evaluators = 1;  // where the job evaluates on evaluators
  uint64_t seed = 1;
  // A dataset as in a client's configuration, "{client}", "{clients}" and "{seed}" replaced by the
  // device's number, their count and the seed; empty: examples as in the fleet's model, without
  // data.
  std::string dataset;
  std::string evaluation_dataset;  // of evaluators; empty: as above
  // Of each device, likewise: what the last model is judged on in the end. Empty: it is not.
  std::string local_evaluation_dataset;
  FaultPlan faults;
  bool check = true;  // by checker.h, without the replay of models
  bool replay = false;
  std::string scratch_dir;  // for blobs, spool and state folders; emptied at the end
  // State folders of devices lie in this process's memory where the bench can do with that.
  bool state_in_memory = true;
  std::string trace_path;
  std::function<void(const TraceRecord&)> on_trace;
  uint64_t most_awake = 1000;
  std::string population_key;           // of pseudonyms; empty: made from the seed
  std::string name_prefix = "device-";  // of the devices' identities, before their number
  // Hears of all that becomes durable.
  std::function<void(const std::vector<StoreWrite>&)> on_durable;
  std::optional<bool> keeps_storage;  // empty: of fleets of up to 2,000 devices
  // Asked between moments of virtual time: true ends the run (CANCELLED).
  std::function<bool()> interrupted;
  int64_t most_virtual_ms = int64_t{400} * 24 * 3'600'000;
  CarbonConfig carbon;
  // The grids' grams by region, which devices' joules are counted with, and which selectors see. ""
  // is of devices in other regions. Instead of `carbon` the coordinator books by the first.
  std::map<std::string, CarbonSeries> carbon_series;
  std::map<std::string, TimeSeries> surplus;  // watts by power domain, for selector fedzero
  std::optional<WindowTarget> target;
};

// State of the fleet at the end of an attempt.
struct SimulationPoint {
  int64_t at_ms = 0;  // since the start
  RoundSummary round;
  bool committed = false;
  FleetTally tally;  // so far
  uint64_t awake = 0;
};

struct SimulationResult {
  JobView job;
  Digest trace_hash{};
  uint64_t trace_records = 0;
  uint64_t messages = 0;
  int64_t virtual_ms = 0;
  FleetTally tally;
  uint64_t assignments = 0;   // of clients
  uint64_t participants = 0;  // clients with an assignment
  // Jain's index, 1 where all are alike: of assignments, and of the charge (as a share of the
  // capacity) of those with a battery; 1 without any.
  double jain_participation = 1;
  double jain_charge = 1;
  // Accuracy of the last model by the devices' own data; the mean of the lowest tenth.
  std::optional<double> worst_decile_accuracy;
  size_t most_awake = 0;
  uint64_t coordinator_lives = 1;
  uint64_t replayed_commits = 0;
  std::map<std::string, uint64_t> problems;
  std::vector<std::string> violations;
  bool target_reached = false;  // options.target
  std::string limited_by;       // empty: the job completed, or was ended at its target
  std::vector<SimulationPoint> points;
  std::vector<EnergySum> energy_by_phase;
  std::vector<EnergySum> energy_by_round;
  std::vector<EnergySum> energy_by_client;
};

class Simulation {
 public:
  // INVALID_ARGUMENT: a job that the coordinator refuses, or that no device of the fleet can ever
  // work for, saying why.
  static absl::StatusOr<std::unique_ptr<Simulation>> Create(SimulationOptions options,
                                                            std::unique_ptr<TrainingBench> bench);
  virtual ~Simulation() = default;

  // Called after each attempt, with false ends the run early (CANCELLED). What lasts longer than
  // that is ended by options.interrupted.
  using Progress = std::function<bool(const SimulationPoint&)>;
  virtual absl::StatusOr<SimulationResult> Run(const Progress& progress) = 0;
};

// A bundle of one trainable float32 tensor of so many zeros, for synthetic training.
absl::Status WriteSyntheticBundle(const std::string& path, uint64_t parameters);

}  // namespace fedwatt
