#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/sha256.h"
#include "common/energy/energy_sample.h"
#include "common/model/ids.h"
#include "common/model/plan.h"
#include "common/model/telemetry.h"

// What coordinator and client tell each other, as plain values: the wire's messages (and the
// simulator's) without protobuf. Meanings and units are those of proto/fedwatt/v1.
namespace fedwatt {

enum class Role { kClient = 1, kEvaluator, kOperator, kCoordinator };
const char* RoleName(Role role);

// Who calls, as an Authenticator found out.
struct Principal {
  std::string tenant = "default";
  std::string subject;  // the certificate's id part
  Role role = Role::kClient;
  std::string method;     // "mtls", "insecure"
  std::string assurance;  // fingerprint of the certificate
};

struct ModelRef {
  std::string model;
  uint64_t version = 0;
  Digest sha256{};
  Digest parent{};
  std::string job;
  std::string arm;
};

struct DatasetRef {
  std::string name;
  uint32_t schema_version = 0;
  uint32_t example_count_bucket = 0;
};

struct Capabilities {
  std::vector<std::string> trainers;
  std::vector<std::string> artifact_formats;
  std::vector<std::string> codecs;
  uint64_t memory_bytes = 0;
  std::map<std::string, std::string> labels;
  bool keeps_state = false;
  std::string device_class;
};

enum class HoldingStage { kWorking = 1, kReady, kReported };

struct Holding {
  std::string assignment_id;
  HoldingStage stage = HoldingStage::kWorking;
};

// What a device measured in its latest work. None: it does not know.
struct CostEstimate {
  std::optional<double> up_bytes_per_s;
  std::optional<double> down_bytes_per_s;
  std::optional<double> up_joules_per_byte;
  std::optional<double> down_joules_per_byte;
  std::optional<double> encode_joules_per_coordinate;
  std::optional<double> train_joules;  // of an assignment of the job that it worked for last
  std::optional<double> train_seconds;
};

struct CheckInRequest {
  uint32_t protocol_min = 1;
  uint32_t protocol_max = 1;
  std::string sdk_version;
  std::string app_version;
  std::string tenant = "default";
  std::string population = "default";
  Capabilities capabilities;
  std::vector<DatasetRef> datasets;
  std::vector<Holding> holding;
  int64_t max_wait_ms = 0;
  uint32_t telemetry_level = 1;
  uint64_t session = 0;
  int64_t client_time_ms = 0;
  Role role = Role::kClient;
  std::vector<Digest> models;  // flat models that it holds, newest first
  CostEstimate costs;
  DeviceTelemetry telemetry;
};

// Bytes by value, by address, or by hash alone.
struct Resource {
  std::string inline_data;
  std::string uri;
  Digest sha256{};
  uint64_t size = 0;
};

// One step on the way to a flat model (common/codec/model_step.h).
struct ModelStep {
  Resource payload;
  Digest base{};    // the flat model that it starts from; all zero: none, it is a whole model
  Digest result{};  // the flat model that it leads to
};

enum class AssignmentKind { kTrain = 1, kEvaluate };
enum class AggregationMode { kPlain = 1 };

struct Assignment {
  std::string id;
  RoundKey key;
  AssignmentKind kind = AssignmentKind::kTrain;
  ModelRef base;
  Resource model;
  Resource bundle;
  Plan plan;
  DatasetRef dataset;
  std::string trainer;
  std::string codec;
  int64_t time_left_ms = 0;
  uint64_t max_upload_bytes = 0;
  double weight_multiplier = 1;
  AggregationMode aggregation_mode = AggregationMode::kPlain;
  std::string cohort;
  std::string arm;
  uint64_t max_weight = 0;
  double max_abs_delta = 0;
  std::vector<ModelStep> model_steps;  // a smaller way to `model`; empty: there is none
  std::string codec_reason;            // why this codec
  uint64_t max_inline_bytes = 0;       // larger updates go by Upload; 0: bounds::kMaxInlineBytes
};

enum class Outcome { kPending = 1, kCommitted, kRefused, kAbandoned, kWanted, kUnknown };
const char* OutcomeName(Outcome outcome);

struct OutcomeNotice {
  std::string assignment_id;
  Outcome outcome = Outcome::kUnknown;
  std::string reason;
};

struct Rejection {
  std::string reason;
  int64_t retry_after_ms = 0;
};

struct CheckInResponse {
  uint32_t protocol = 1;
  int64_t server_time_ms = 0;
  std::vector<OutcomeNotice> outcomes;
  // Exactly one of these, or none when the call brought only outcomes.
  std::optional<Assignment> assignment;
  std::optional<Rejection> rejection;
  std::string forward;  // address of another coordinator
};

struct LossSums {
  uint64_t examples = 0;
  double loss_sum = 0;
  double loss_sq_sum = 0;
  uint64_t correct = 0;
  uint64_t predictions = 0;
};

struct UpdateMetrics {
  uint64_t examples = 0;
  uint64_t steps = 0;
  std::optional<LossSums> before;
  std::optional<LossSums> after;
  std::map<std::string, double> seconds_by_phase;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  std::map<std::string, double> named;
  uint64_t peak_memory_bytes = 0;
};

enum class ReportStatus { kOk = 1, kFailed, kCancelled };

struct Report {
  std::string assignment_id;
  ReportStatus status = ReportStatus::kOk;
  std::string error;
  Digest base_sha256{};
  uint64_t weight = 0;
  UpdateMetrics metrics;
  std::vector<EnergySample> energy;
  Resource update;  // size 0: none (evaluations, failures)
};

struct ReportReply {
  bool accepted = false;
  Outcome outcome = Outcome::kPending;
  std::string reason;
  int64_t retry_after_ms = 0;
};

struct UploadOffset {
  uint64_t offset = 0;
  bool complete = false;
};

}  // namespace fedwatt
