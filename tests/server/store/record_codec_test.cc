#include "server/store/record_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <typename Kind>
Kind ThroughBytes(const AppendLog& write) {
  return std::get<Kind>(*DecodeLogRecord(*EncodeLogRecord(write.record)));
}

TEST(RecordCodec, KeepsAJob) {
  JobRecord job = MakeJob();
  job.state = JobState::kFailed;
  job.reason = "caf\xe9";  // not UTF-8
  job.stop_reason = "failed";
  job.ended_ms = kNowMs + 5;
  job.spec.evaluation.every = 1;
  job.spec.stop.target = 0.9;
  const JobRecord back = *DecodeJob(*EncodeJob(job));
  EXPECT_EQ(back.id, job.id);
  EXPECT_EQ(back.request_id, job.request_id);
  EXPECT_EQ(back.state, job.state);
  EXPECT_EQ(back.reason, job.reason);
  EXPECT_EQ(back.stop_reason, job.stop_reason);
  EXPECT_EQ(back.created_ms, job.created_ms);
  EXPECT_EQ(back.ended_ms, job.ended_ms);
  EXPECT_EQ(back.bundle_sha256, job.bundle_sha256);
  EXPECT_EQ(back.initial_model, job.initial_model);
  EXPECT_EQ(back.spec.dataset.name, "mnist");
  EXPECT_EQ(back.spec.stop.target, 0.9);
}

TEST(RecordCodec, KeepsTheBeginningOfAnAttempt) {
  AppendLog write = Began(Train(3, 2));
  auto& record = std::get<AttemptBegan>(write.record);
  record.limits = {.goal = 1,
                   .assign = 2,
                   .min_reports = 3,
                   .selection_timeout_ms = 4,
                   .report_deadline_ms = 5,
                   .max_attempts = 6,
                   .backoff_initial_ms = 7,
                   .backoff_max_ms = 8};
  const auto back = ThroughBytes<AttemptBegan>(write);
  EXPECT_EQ(back.key, Train(3, 2));
  EXPECT_EQ(back.limits, record.limits);
  EXPECT_EQ(back.now_ms, kNowMs);
}

TEST(RecordCodec, KeepsAReport) {
  const auto back = ThroughBytes<ReportAccepted>(
      Accepted(Train(1), 5, {MakeSample(11), MakeSample(std::nullopt, "battery")}));
  EXPECT_EQ(back.index, 5u);
  EXPECT_EQ(back.clip_factor, 0.5);
  EXPECT_EQ(back.report.assignment_id, "job-1/r1/a1/5");
  EXPECT_EQ(back.report.metrics.after->correct, 400u);
  EXPECT_EQ(back.report.metrics.named.at("f1"), 0.5);
  ASSERT_THAT(back.report.energy, SizeIs(2));
  EXPECT_EQ(back.report.energy[0].energy_uj, 11);
  EXPECT_EQ(back.report.energy[0].coverage, 0.75);
  EXPECT_FALSE(back.report.energy[1].energy_uj.has_value());
  EXPECT_EQ(back.report.update.size, 1234u);
  EXPECT_THAT(back.report.update.inline_data, IsEmpty());
}

TEST(RecordCodec, KeepsAbandonmentsAndRefusals) {
  const auto abandoned = ThroughBytes<AttemptAbandoned>(Abandoned(Train(1), "no \xff", true));
  EXPECT_EQ(abandoned.reason, "no \xff");
  EXPECT_TRUE(abandoned.give_up);
  EXPECT_EQ(abandoned.retry_at_ms, kNowMs + 5000);
  EXPECT_EQ(abandoned.summary.phase, "abandoned");
  const auto refused = ThroughBytes<ReportRefused>(Refused(Train(1), 2, "late", std::nullopt));
  EXPECT_FALSE(refused.report.has_value());
  EXPECT_EQ(refused.reason, "late");
}

TEST(RecordCodec, KeepsWhatTheCoordinatorSpentSoFar) {
  const auto back = ThroughBytes<CoordinatorSpent>(
      AppendLog{CoordinatorSpent{Train(2), {MakeSample(11), MakeSample(std::nullopt)}, kNowMs}});
  EXPECT_EQ(back.key.round, 2u);
  EXPECT_EQ(back.now_ms, kNowMs);
  ASSERT_THAT(back.samples, SizeIs(2));
  EXPECT_EQ(back.samples[0].energy_uj, 11);
  EXPECT_FALSE(back.samples[1].energy_uj.has_value());
}

TEST(RecordCodec, KeepsACommit) {
  const auto back = ThroughBytes<RoundCommitted>(Committed(Train(4)));
  EXPECT_EQ(back.model.sha256, DigestOf("model4"));
  EXPECT_EQ(back.model.parent, DigestOf("model3"));
  EXPECT_EQ(back.strategy_state, DigestOf("strategy"));
  EXPECT_EQ(back.selector_state, Digest{});
  EXPECT_EQ(back.best_metric, 0.875);
  EXPECT_EQ(back.summary.seconds_by_phase.at("train"), 4.0);
  EXPECT_EQ(back.summary.energy[0].useful_uj, 200);
}

TEST(RecordCodec, RefusesToWriteWhatItCouldNotRead) {
  AppendLog write = Accepted(Train(1), 0);
  std::get<ReportAccepted>(write.record).report.weight = 1'000'000'000'000'000'000;
  const absl::Status status = EncodeLogRecord(write.record).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("weight"));
}

TEST(RecordCodec, OfAnAbsurdRefusedReportTheJoulesAreKept) {
  AppendLog write = Refused(Train(1), 0, "invalid", {{MakeSample(11)}});
  auto& report = *std::get<ReportRefused>(write.record).report;
  report.weight = 1'000'000'000'000'000'000;
  report.metrics.before->loss_sum = std::numeric_limits<double>::quiet_NaN();
  const auto back = ThroughBytes<ReportRefused>(write);
  ASSERT_TRUE(back.report.has_value());
  EXPECT_EQ(back.report->weight, 0u);
  ASSERT_THAT(back.report->energy, SizeIs(1));
  EXPECT_EQ(back.report->energy[0].energy_uj, 11);
}

TEST(RecordCodec, RubbishIsDataLoss) {
  for (const std::string& bytes : {std::string("\xff\xff\xff"), std::string()}) {
    EXPECT_EQ(DecodeLogRecord(bytes).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(DecodeJob(bytes).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace fedwatt
