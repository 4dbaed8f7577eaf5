#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/model/plan.h"

// What a user submits. Field names, defaults and units are those of job files; the protobuf
// message of the same name is the schema.
namespace fedwatt {

struct PluginSpec {
  std::string name;
  std::map<std::string, double> params;
};

struct JobSpec {
  std::string name;
  std::string tenant = "default";
  std::string population = "default";
  uint32_t priority = 0;  // higher first
  uint32_t rounds = 10;
  uint64_t seed = 0;

  struct Model {
    std::string bundle;      // path, for the CLI
    std::string warm_start;  // job id or unique name
    std::string warm_start_version = "best";
  } model;

  struct Dataset {
    std::string name;
    uint32_t schema_version = 0;  // 0: any
    uint64_t min_examples = 0;
  } dataset;

  struct Eligibility {
    std::string trainer;  // empty: any
    uint64_t min_memory_bytes = 0;
    std::map<std::string, std::string> labels;
    uint32_t min_separation_rounds = 0;
  } eligibility;

  struct RoundLimits {
    uint32_t goal = 0;
    double over_selection = 1.0;
    uint32_t min_reports = 0;  // 0: goal
    double selection_timeout_s = 600;
    double report_deadline_s = 3600;
    uint32_t max_attempts = 10;
    double backoff_initial_s = 5;
    double backoff_max_s = 600;
    double interval_s = 0;  // least time from the beginning of one round to that of the next
  } round;

  PluginSpec selector{"uniform", {}};
  PluginSpec strategy{"fedavg", {}};
  PluginSpec aggregator{"mean", {}};

  struct CodecChoice {
    std::string up = "eden:bits=2";
    std::string down = "eden:bits=2";
    std::string policy = "fixed";  // or "adaptive": `up` is chosen for each client and round
    double max_error = 1;          // adaptive: the greatest vNMSE of an update
    double upload_share = 0.25;    // adaptive: of the report deadline that an upload may take
    uint32_t keyframe_bits = 8;    // of whole models
  } codec;

  Plan plan;

  struct Evaluation {
    uint32_t every = 0;
    std::string where = "evaluator";  // or "clients"
    uint32_t clients = 0;
    std::string dataset;  // empty: the job's
    uint32_t max_examples = 0;
    double timeout_s = 600;
  } evaluation;

  struct Stop {
    std::string metric = "accuracy";
    std::string mode = "max";
    uint32_t patience = 0;
    double min_delta = 0;
    std::optional<double> target;
    double max_wall_s = 0;
    double min_gain_per_kj = 0;     // of `metric`, for each kilojoule booked; 0: off
    uint32_t gain_evaluations = 3;  // over so many evaluations
  } stop;

  // What its devices may spend, booked (server/ledger/budget_book.h). 0: no limit.
  struct Budget {
    double joules = 0;
    double joules_per_round = 0;
    double joules_per_client = 0;
    double joules_per_day = 0;  // UTC
    double gco2e = 0;
    double gco2e_per_round = 0;
    double gco2e_per_client = 0;
    double gco2e_per_day = 0;
    double money = 0;  // in the currency of price_per_kwh
    double price_per_kwh = 0;
  } budget;

  struct Carbon {
    std::string source;      // empty: the coordinator's
    std::string region;      // empty: the coordinator's
    double pause_above = 0;  // g/kWh above which rounds wait for cleaner hours; 0: never
    double pause_max_s = 0;  // since the job was submitted; later rounds wait no more
  } carbon;

  // What is checked when the job has ended; none of them stops it.
  struct Targets {
    double joules = 0;  // at most; 0: no target
    double gco2e = 0;
    std::optional<double> metric;  // the best stop.metric, at least (mode min: at most)
  } targets;

  struct Retention {
    uint32_t keep_last = 2;
    bool keep_best = true;
    uint32_t keep_every = 0;
  } retention;

  struct Bounds {
    double max_abs_delta = 64;      // B of law 5
    uint64_t max_weight = 100'000;  // W
    double max_update_norm = 0;     // 0: no clipping
  } bounds;

  uint32_t telemetry_level = 1;
};

// Checks everything that needs no registry and no model. INVALID_ARGUMENT names the key as written
// in a job file, its value, the limit and what to write instead.
absl::Status ValidateJobSpec(const JobSpec& spec);

}  // namespace fedwatt
