#pragma once

// Records as a driver would write them, with the values that tests do not care about filled in.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/sha256.h"
#include "server/store/store.h"

namespace fedwatt {

inline constexpr int64_t kNowMs = 1'767'225'600'000;

inline RoundKey Train(uint64_t round, uint32_t attempt = 1, const std::string& job = "job-1") {
  return {job, round, attempt, false};
}

inline RoundKey Evaluate(uint64_t round, uint32_t attempt = 1, const std::string& job = "job-1") {
  return {job, round, attempt, true};
}

inline Digest DigestOf(const std::string& text) { return Sha256Of(AsBytes(text)); }

inline JobRecord MakeJob(const std::string& id = "job-1") {
  JobRecord job;
  job.id = id;
  job.spec.name = "job";
  job.spec.dataset.name = "mnist";
  job.spec.round.goal = 2;
  job.request_id = "request-" + id;
  job.bundle_sha256 = DigestOf("bundle");
  job.initial_model = DigestOf("initial");
  job.created_ms = kNowMs;
  return job;
}

inline EnergySample MakeSample(std::optional<int64_t> energy_uj, const std::string& source = "rapl",
                               Phase phase = Phase::kTrain) {
  EnergySample sample;
  sample.source = source;
  sample.quality = energy_uj ? EnergyQuality::kMeasured : EnergyQuality::kUnavailable;
  sample.scope = EnergyScope::kPackage;
  sample.phase = phase;
  sample.energy_uj = energy_uj;
  if (energy_uj) sample.sigma_uj = 1;
  sample.idle_subtracted = true;
  sample.coverage = 0.75;
  sample.duration_us = 2'000'000;
  sample.bytes = 1234;
  return sample;
}

inline Report MakeReport(const RoundKey& key, uint32_t index, std::vector<EnergySample> energy) {
  Report report;
  report.assignment_id = MakeAssignmentId(key, index);
  report.base_sha256 = DigestOf("base");
  report.weight = 600;
  report.metrics.examples = 600;
  report.metrics.steps = 19;
  report.metrics.before = LossSums{600, 120.5, 50.25, 300, 600};
  report.metrics.after = LossSums{600, 60.5, 20.25, 400, 600};
  report.metrics.seconds_by_phase = {{"train", 2.0}, {"upload", 0.5}};
  report.metrics.bytes_up = 1234;
  report.metrics.named = {{"f1", 0.5}};
  report.energy = std::move(energy);
  report.update.sha256 = DigestOf("update");
  report.update.size = 1234;
  return report;
}

inline AppendLog Began(const RoundKey& key) {
  AttemptBegan record;
  record.key = key;
  record.limits.goal = 2;
  record.limits.assign = 3;
  record.now_ms = kNowMs;
  return {record};
}

inline AppendLog Assigned(const RoundKey& key, std::vector<std::string> clients) {
  ClientsAssigned record;
  record.key = key;
  record.clients = std::move(clients);
  record.inclusion.assign(record.clients.size(), 0.5);
  record.selector_state = std::string("state\0\xff", 7);
  record.now_ms = kNowMs;
  return {record};
}

inline AppendLog Accepted(const RoundKey& key, uint32_t index,
                          std::vector<EnergySample> energy = {MakeSample(100)}) {
  ReportAccepted record;
  record.key = key;
  record.index = index;
  record.report = MakeReport(key, index, std::move(energy));
  record.clip_factor = 0.5;
  record.now_ms = kNowMs;
  return {record};
}

inline AppendLog Refused(const RoundKey& key, uint32_t index, const std::string& reason,
                         std::optional<std::vector<EnergySample>> energy) {
  ReportRefused record;
  record.key = key;
  record.index = index;
  record.reason = reason;
  if (energy) record.report = MakeReport(key, index, *std::move(energy));
  record.now_ms = kNowMs;
  return {record};
}

inline AppendLog Abandoned(const RoundKey& key, const std::string& reason, bool give_up = false) {
  AttemptAbandoned record;
  record.key = key;
  record.reason = reason;
  record.retry_at_ms = kNowMs + 5000;
  record.give_up = give_up;
  record.summary.key = key;
  record.summary.phase = "abandoned";
  record.now_ms = kNowMs;
  return {record};
}

inline RoundSummary MakeSummary(const RoundKey& key) {
  RoundSummary summary;
  summary.key = key;
  summary.phase = "committed";
  summary.assigned = 3;
  summary.reported = 2;
  summary.bytes_up = 1000;
  summary.bytes_down = 2000;
  summary.energy.push_back({"rapl", EnergyQuality::kMeasured, EnergyScope::kPackage, 200, 0, 2, 0});
  summary.seconds_by_phase = {{"train", 4.0}};
  summary.started_ms = kNowMs;
  summary.ended_ms = kNowMs + 1000;
  return summary;
}

inline AppendLog Committed(const RoundKey& key) {
  RoundCommitted record;
  record.key = key;
  record.model = {"cnn",
                  key.round,
                  DigestOf("model" + std::to_string(key.round)),
                  DigestOf("model" + std::to_string(key.round - 1)),
                  key.job,
                  "a"};
  record.strategy_state = DigestOf("strategy");
  record.rng_counter = 7;
  record.summary = MakeSummary(key);
  record.summary.model = record.model;
  if (key.evaluation) {
    record.summary.train_before = {};
    record.summary.evaluation = MetricSummary{10'000, 0.4, 0.875, {{"f1", 0.9}}};
  }
  record.best_metric = 0.875;
  record.best = record.model;
  record.now_ms = kNowMs + 1000;
  return {record};
}

}  // namespace fedwatt
