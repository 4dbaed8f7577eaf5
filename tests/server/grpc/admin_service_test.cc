#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "common/wire/job_wire.h"
#include "fedwatt/v1/admin_service.grpc.pb.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

std::unique_ptr<grpc::ClientContext> Operator() { return NewContext("alice", "operator"); }

class Admin : public testing::Test {
 protected:
  Admin() : stub_(v1::AdminService::NewStub(server_.InsecureChannel())) {}

  struct Added {
    grpc::Status status;
    v1::UploadBundleResponse response;
  };
  Added AddBundle(const std::vector<v1::UploadBundleRequest>& messages) {
    Added result;
    const auto context = Operator();
    const auto writer = stub_->UploadBundle(context.get(), &result.response);
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    result.status = writer->Finish();
    return result;
  }
  static v1::UploadBundleRequest Part(const std::string& bundle, uint64_t offset, uint64_t size) {
    v1::UploadBundleRequest part;
    if (offset == 0) {
      part.set_total(bundle.size());
      part.set_sha256(DigestBytes(bundle));
    }
    part.set_offset(offset);
    part.set_data(bundle.substr(offset, size));
    return part;
  }
  bool ScratchIsEmpty() const {
    const std::string folder = server_.data_dir() + "/tmp";
    return !std::filesystem::exists(folder) || std::filesystem::is_empty(folder);
  }

  TestServer server_;
  std::unique_ptr<v1::AdminService::Stub> stub_;
};

TEST_F(Admin, TellsWhatTheServerIs) {
  v1::ServerInfo info;
  const grpc::Status status = stub_->GetServerInfo(Operator().get(), {}, &info);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_EQ(info.started_ms(), 7);
  EXPECT_EQ(info.waiting_clients(), 3U);
  EXPECT_GT(info.store_free_bytes(), 0U);
  EXPECT_GT(info.server_time_ms(), info.started_ms());
  ASSERT_EQ(info.selectors_size(), 1);
  EXPECT_EQ(info.selectors(0), "uniform");
}

TEST_F(Admin, JobsAreSubmittedListedStoppedAndResumed) {
  v1::SubmitJobRequest submit;
  JobSpec spec = FakeCoordinator::View("x").spec;
  spec.name = "mnist";
  wire::ToProto(spec, submit.mutable_spec());
  submit.set_bundle_sha256(DigestBytes("bundle"));
  submit.set_request_id("r-1");
  v1::Job job;
  const grpc::Status submitted = stub_->SubmitJob(Operator().get(), submit, &job);
  ASSERT_TRUE(submitted.ok()) << submitted.error_message();
  EXPECT_EQ(job.id(), "mnist");

  v1::ListJobsRequest list;
  list.set_all(true);
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(stub_->ListJobs(Operator().get(), list, &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 2);

  v1::StopJobRequest stop;
  stop.set_job("mnist");
  ASSERT_TRUE(stub_->StopJob(Operator().get(), stop, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_STOPPED);
  EXPECT_EQ(server_.coordinator().stop_reason(), "stopped by alice");

  v1::ResumeJobRequest resume;
  resume.set_job("mnist");
  ASSERT_TRUE(stub_->ResumeJob(Operator().get(), resume, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
}

TEST_F(Admin, ErrorsOfTheCoordinatorKeepTheirWords) {
  v1::GetJobRequest request;
  request.set_job("nobody");
  v1::Job job;
  const grpc::Status status = stub_->GetJob(Operator().get(), request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no job \"nobody\"; see fedwatt list");
}

TEST_F(Admin, AnEmptyJobNameIsRefused) {
  v1::Job job;
  EXPECT_EQ(stub_->GetJob(Operator().get(), {}, &job).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Admin, TheLedgerAnswersAlongTheAxisAsked) {
  v1::QueryEnergyRequest request;
  request.set_job("job-1");
  v1::QueryEnergyResponse answer;
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  ASSERT_EQ(answer.sums_size(), 1);
  EXPECT_EQ(answer.sums(0).phase(), v1::PHASE_TRAIN) << "by phase unless told otherwise";
  EXPECT_FALSE(answer.sums(0).has_round());
  EXPECT_EQ(answer.sums(0).source(), "rapl");
  EXPECT_EQ(answer.sums(0).quality(), v1::ENERGY_QUALITY_MEASURED);
  EXPECT_EQ(answer.sums(0).party(), "clients");
  EXPECT_EQ(answer.sums(0).use(), "useful");
  EXPECT_EQ(answer.sums(0).energy_uj(), 5);
  request.set_by("round");
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  EXPECT_EQ(answer.sums(0).round(), 3U);
  request.set_by("day");
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  EXPECT_EQ(answer.sums(0).day_ms(), int64_t{48} * 3'600'000);
}

TEST_F(Admin, TheLedgersConditionsAndTimesRestrict) {
  v1::QueryEnergyRequest request;
  request.set_job("job-1");
  request.set_since_ms(int64_t{49} * 3'600'000 + 1);  // its hour
  request.set_until_ms(int64_t{49} * 3'600'000 + 1);
  v1::QueryEnergyResponse answer;
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  EXPECT_EQ(answer.sums_size(), 1) << "hours count whole";
  request.set_until_ms(int64_t{49} * 3'600'000);
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  EXPECT_EQ(answer.sums_size(), 0);
  request.clear_until_ms();
  request.add_where("source=battery");
  ASSERT_TRUE(stub_->QueryEnergy(Operator().get(), request, &answer).ok());
  EXPECT_EQ(answer.sums_size(), 0);
}

TEST_F(Admin, AQuestionThatIsNotUnderstoodIsRefused) {
  v1::QueryEnergyRequest request;
  v1::QueryEnergyResponse answer;
  EXPECT_EQ(stub_->QueryEnergy(Operator().get(), request, &answer).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_job("job-1");
  request.set_by("colour");
  EXPECT_EQ(stub_->QueryEnergy(Operator().get(), request, &answer).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_by("phase");
  request.add_where("colour=red");
  EXPECT_EQ(stub_->QueryEnergy(Operator().get(), request, &answer).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Admin, ABundleGoesInAndAModelComesOut) {
  const std::string bundle = Pattern(2'500'000);
  const Added added = AddBundle({Part(bundle, 0, 1'000'000), Part(bundle, 1'000'000, 1'000'000),
                                 Part(bundle, 2'000'000, 1'000'000)});
  ASSERT_TRUE(added.status.ok()) << added.status.error_message();
  EXPECT_EQ(added.response.name(), "mcmahan-cnn");
  EXPECT_EQ(added.response.sha256(), DigestBytes(bundle));

  v1::ExportModelRequest request;
  request.set_job("mnist");
  request.set_version("best");
  request.set_offset(5);
  const auto context = Operator();
  const auto reader = stub_->ExportModel(context.get(), request);
  std::string model;
  v1::DownloadChunk chunk;
  while (reader->Read(&chunk)) model += chunk.data();
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(model == bundle);  // offset 5 skips "best:"
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(Admin, BrokenBundlesAreRefusedAndLeaveNothing) {
  const std::string bundle = Pattern(1000);
  v1::UploadBundleRequest wrong_hash = Part(bundle, 0, 1000);
  wrong_hash.set_sha256(DigestBytes("another"));
  v1::UploadBundleRequest no_hash = Part(bundle, 0, 1000);
  no_hash.clear_sha256();
  v1::UploadBundleRequest huge = Part(bundle, 0, 1000);
  huge.set_total(uint64_t{1} << 60);
  const grpc::StatusCode invalid = grpc::StatusCode::INVALID_ARGUMENT;
  EXPECT_EQ(AddBundle({wrong_hash}).status.error_code(), invalid);
  EXPECT_EQ(AddBundle({no_hash}).status.error_code(), invalid);
  EXPECT_EQ(AddBundle({huge}).status.error_code(), invalid);
  EXPECT_EQ(AddBundle({Part(bundle, 0, 500), Part(bundle, 600, 100)}).status.error_code(), invalid);
  v1::UploadBundleRequest more = Part(bundle, 500, 500);
  more.set_data(bundle);
  EXPECT_EQ(AddBundle({Part(bundle, 0, 500), more}).status.error_code(), invalid);
  EXPECT_EQ(AddBundle({Part(bundle, 0, 900)}).status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(AddBundle({}).status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(Admin, AFullDiskIsToldToTheOperator) {
  SetWriteFaultForTest([](const std::string& path, uint64_t) {
    return path.find("/tmp/bundle-") != std::string::npos ? ENOSPC : 0;
  });
  const std::string bundle = Pattern(1000);
  const grpc::Status status = AddBundle({Part(bundle, 0, 1000)}).status;
  SetWriteFaultForTest(nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(Admin, AWatcherSeesEveryCommittedRoundAndTheEnd) {
  v1::WatchJobRequest request;
  request.set_job("mnist");
  request.set_after_sequence(10);
  const auto context = Operator();
  const auto reader = stub_->WatchJob(context.get(), request);
  v1::JobEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.sequence(), 11U);
  EXPECT_EQ(event.job().id(), "mnist");

  server_.coordinator().WaitForWatchers(1);
  JobUpdate update{12, FakeCoordinator::View("mnist"), RoundSummary{}};
  update.committed->key = {"mnist", 1, 1, false};
  server_.coordinator().Publish(update, true);
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.committed().key().round(), 1U);
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
  server_.coordinator().WaitForWatchers(0);
}

TEST_F(Admin, AWatcherWhoLeavesIsForgotten) {
  v1::WatchJobRequest request;
  request.set_job("mnist");
  const auto context = Operator();
  const auto reader = stub_->WatchJob(context.get(), request);
  v1::JobEvent event;
  ASSERT_TRUE(reader->Read(&event));
  server_.coordinator().WaitForWatchers(1);
  context->TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_.coordinator().WaitForWatchers(0);
}

// Calls the standard services as grpcurl and load balancers do, without their generated code.
grpc::ByteBuffer RawUnary(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                          const std::string& request, grpc::Status* status) {
  grpc::GenericStub stub(channel);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer message(&slice, 1);
  grpc::ByteBuffer response;
  const auto context = NewContext();
  Mutex mutex;
  CondVar changed;
  bool done = false;
  stub.UnaryCall(context.get(), method, grpc::StubOptions(), &message, &response,
                 [&](grpc::Status ended) {
                   MutexLock lock(&mutex);
                   *status = std::move(ended);
                   done = true;
                   changed.NotifyAll();
                 });
  MutexLock lock(&mutex);
  while (!done) changed.Wait(&mutex);
  return response;
}

TEST_F(Admin, HealthIsServed) {
  grpc::Status status;
  grpc::ByteBuffer response =
      RawUnary(server_.InsecureChannel(), "/grpc.health.v1.Health/Check", "", &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  grpc::Slice bytes;
  ASSERT_TRUE(response.DumpToSingleSlice(&bytes).ok());
  // HealthCheckResponse{status: SERVING = 1}
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), std::string("\x08\x01"));
}

}  // namespace
}  // namespace fedwatt
