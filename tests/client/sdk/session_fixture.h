#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/session.h"
#include "common/base/fake_clock.h"
#include "common/base/manual_executor.h"
#include "common/bundle/bundle.h"
#include "gtest/gtest.h"
#include "tests/client/sdk/fake_coordinator.h"

namespace fedwatt {

// Writes the same delta for the same model: 0.001 times the coordinate's number, modulo 1000.
class FakeTrainer final : public Trainer {
 public:
  std::string name() const override { return "fake"; }
  std::vector<std::string> artifact_formats() const override { return {"torchscript"}; }

  absl::StatusOr<TrainResult> Run(
      const TrainRequest& request, const std::atomic<bool>& cancel,
      const std::function<void(const TrainProgress&)>& progress) override {
    runs.push_back(request);
    if (during_run) during_run();
    if (cancel) return absl::CancelledError("training was cancelled");
    if (!error.ok()) return error;
    absl::StatusOr<std::string> model = ReadFile(request.model_path, uint64_t{1} << 30);
    if (!model.ok()) return model.status();
    progress({1, 2, 0.5});
    progress({2, 2, 0.25});
    TrainResult result;
    if (request.kind == AssignmentKind::kTrain) {
      std::vector<float> delta(model->size() / sizeof(float));
      for (size_t i = 0; i < delta.size(); ++i) delta[i] = 0.001F * static_cast<float>(i % 1000);
      if (bad_value.has_value()) delta.back() = *bad_value;
      const std::string bytes(reinterpret_cast<const char*>(delta.data()),
                              delta.size() * sizeof(float));
      absl::StatusOr<FileWriter> file = FileWriter::Create(request.output_path);
      if (!file.ok()) return file.status();
      if (absl::Status status = file->Append(AsBytes(bytes)); !status.ok()) return status;
      result.output_bytes = bytes.size();
    }
    result.metrics.examples = weight;
    result.metrics.steps = 1;
    result.metrics.after = LossSums{weight, loss_sum, 1, 1, 2};
    result.metrics.seconds_by_phase["train"] = 2.5;
    result.weight = weight;
    return result;
  }

  std::vector<TrainRequest> runs;
  std::function<void()> during_run;
  absl::Status error;
  std::optional<float> bad_value;  // of the last coordinate
  double loss_sum = 1;
  uint64_t weight = 600;
};

// 1000 uJ a window and 2 uJ a byte.
class FakeMeter final : public EnergyMeter {
 public:
  std::string name() const override { return "fake"; }
  EnergyQuality quality() const override { return EnergyQuality::kMeasured; }
  EnergyScope scope() const override { return EnergyScope::kDevice; }
  Window Begin(Phase phase) override {
    phase_ = phase;
    ++open;
    return ++window_;
  }
  EnergySample End(Window window, uint64_t bytes) override {
    EXPECT_EQ(window, window_);
    --open;
    EnergySample sample;
    sample.source = "fake";
    sample.quality = EnergyQuality::kMeasured;
    sample.scope = EnergyScope::kDevice;
    sample.phase = phase_;
    sample.energy_uj = 1000 + 2 * static_cast<int64_t>(bytes);
    sample.coverage = 1;
    sample.duration_us = 10;
    sample.bytes = bytes;
    return sample;
  }

  int open = 0;

 private:
  Phase phase_ = Phase::kDownload;
  Window window_ = 0;
};

class Transcript final : public SessionObserver {
 public:
  void OnEvent(const SessionEvent& event) override {
    lines.push_back(event.ToString());
    events.push_back(event);
  }
  void OnProgress(const std::string&, const TrainProgress&) override { ++progress; }

  bool Has(const std::string& part) const { return !Line(part).empty(); }
  // The first line that contains `part`.
  std::string Line(const std::string& part) const {
    for (const std::string& line : lines) {
      if (line.find(part) != std::string::npos) return line;
    }
    return "";
  }

  std::vector<std::string> lines;
  std::vector<SessionEvent> events;
  int progress = 0;
};

// One device with its coordinator, in virtual time. `Restart` is kill -9 and a new start.
class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = absl::StrCat(::testing::TempDir(), "session_",
                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    auto key = SigningKey::FromSeed(AsBytes(std::string(32, 'k')));
    ASSERT_TRUE(key.ok());
    key_ = std::make_unique<SigningKey>(*std::move(key));
    options_.state_dir = dir_ + "/state";
    options_.client_id = "device-1";
    options_.datasets = {{{"digits", "idx", "/data", {}}, {"digits", 1, 10}}};
    options_.trusted_keys = {key_->public_key()};
    options_.sync = false;
  }
  void TearDown() override {
    SetWriteFaultForTest(nullptr);
    session_.reset();
    std::filesystem::remove_all(dir_);
  }

  // A model of `elements` float32 and its signed bundle, known to the coordinator.
  Assignment MakeAssignment(const std::string& id, uint64_t elements,
                            const SigningKey* signer = nullptr, bool is_signed = true) {
    const std::string model(elements * sizeof(float), '\x3d');
    BundleHeader header;
    header.name = "net";
    header.input_shape = {1};
    header.manifest = *Manifest::Create({{"w", DType::kF32, {static_cast<int64_t>(elements)}}});
    header.artifacts = {{"torchscript", "1.13", {}, 0, 0}};
    const std::string code = "a graph";
    const std::string path = dir_ + "/bundle";
    EXPECT_TRUE(BundleWriter::Write(path, header, {AsBytes(code)}, {},
                                    is_signed ? (signer ? signer : key_.get()) : nullptr)
                    .ok());
    const std::string bundle = *ReadFile(path, 1 << 20);
    Assignment assignment;
    assignment.id = id;
    assignment.key = {"job", 1, 1, false};
    assignment.model = Describe(model);
    assignment.bundle = Describe(bundle);
    assignment.base = {"net", 1, assignment.model.sha256, {}, "job", ""};
    assignment.dataset = {"digits", 1, 0};
    assignment.trainer = "fake";
    assignment.codec = "raw_f32";
    assignment.time_left_ms = 3'600'000;
    assignment.max_weight = 1000;
    return assignment;
  }
  // The blob, known to the coordinator.
  Resource Describe(const std::string& data) {
    coordinator_.AddBlob(data);
    Resource resource;
    resource.sha256 = Sha256Of(AsBytes(data));
    resource.size = data.size();
    return resource;
  }
  // The same with its small blobs inline.
  Assignment Inline(Assignment assignment) {
    assignment.model.inline_data = coordinator_.blobs[assignment.model.sha256];
    assignment.bundle.inline_data = coordinator_.blobs[assignment.bundle.sha256];
    return assignment;
  }

  void Start() {
    SessionDeps deps;
    deps.clock = &clock_;
    deps.executor = &executor_;
    deps.work_executor = &executor_;
    deps.transport = &coordinator_;
    deps.trainer = own_trainer_ != nullptr ? own_trainer_ : &trainer_;
    deps.meter = other_meter_ != nullptr ? other_meter_ : &meter_;
    deps.conditions = conditions_;
    deps.observer = &transcript_;
    deps.connect = connect_;
    deps.boot_time_us = boot_time_us_;
    auto session = Session::Open(options_, deps);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    session_->Start();
    executor_.RunReady();
  }
  void Kill() {
    session_.reset();
    executor_.RunReady();
    coordinator_.CancelAll();
    executor_.RunReady();
  }
  void Restart() {
    Kill();
    transcript_ = Transcript();
    Start();
  }
  void Advance(int64_t ms) { executor_.AdvanceMs(ms); }

  const Report& LastReport() { return coordinator_.reports.back(); }

  std::string dir_;
  std::unique_ptr<SigningKey> key_;
  FakeClock clock_;
  ManualExecutor executor_{&clock_};
  FakeCoordinator coordinator_{&executor_, &clock_};
  FakeTrainer trainer_;
  Trainer* own_trainer_ = nullptr;  // instead; outlives the session
  FakeMeter meter_;
  EnergyMeter* other_meter_ = nullptr;  // instead; outlives the session
  DeviceConditions* conditions_ = nullptr;
  std::function<int64_t()> boot_time_us_;
  Transcript transcript_;
  SessionOptions options_;
  std::function<std::shared_ptr<ClientTransport>(const std::string&)> connect_;
  std::unique_ptr<Session> session_;
};

}  // namespace fedwatt
