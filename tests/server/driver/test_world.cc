#include "tests/server/driver/test_world.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/bundle/bundle.h"
#include "gtest/gtest.h"

namespace fedwatt::testing {
namespace {

// In memory where there is such a place: hundreds of runs would wait for the disk otherwise.
std::string NewDir() {
  constexpr char kMemory[] = "/dev/shm";
  const std::string parent = access(kMemory, W_OK) == 0 ? kMemory : ::testing::TempDir();
  std::string pattern = absl::StrCat(parent, "/fedwatt-driver-test-XXXXXX");
  return mkdtemp(pattern.data());
}

}  // namespace

TestWorld::TestWorld(std::unique_ptr<Store> store) : dir_(NewDir()) {
  SetLogSinkForTest([this](const std::string& line) { log.push_back(line); });
  if (store == nullptr) {
    auto memory_store = std::make_unique<MemoryStore>(nullptr);
    memory = memory_store.get();
    store = std::move(memory_store);
  }
  disk = std::move(store);
  blobs = *OpenDirBlobStore(absl::StrCat(dir_, "/blobs"));
  OpenSpoolAgain();
  options.version = "test";
  options.population_key = "a secret of the test";
}

TestWorld::~TestWorld() {
  KillCoordinator();
  spool.reset();
  blobs.reset();
  std::filesystem::remove_all(dir_);
  SetLogSinkForTest(nullptr);
}

bool TestWorld::Logged(const std::string& text) const {
  return std::any_of(log.begin(), log.end(), [&text](const std::string& line) {
    return line.find(text) != std::string::npos;
  });
}

void TestWorld::OpenSpoolAgain() {
  spool.reset();
  spool = *OpenSpool({.dir = absl::StrCat(dir_, "/spool"),
                      .max_bytes = 1 << 30,
                      .max_memory_bytes = spool_memory_bytes});
}

absl::Status TestWorld::TryStart(Kill kill) {
  KillCoordinator();
  mortal_executor_ = std::make_unique<MortalExecutor>(&executor, kill);
  mortal_store_ = std::make_unique<MortalStore>(disk.get(), mortal_executor_.get(), kill);
  CoordinatorDeps deps;
  deps.clock = &clock;
  deps.executor = mortal_executor_.get();
  deps.store = mortal_store_.get();
  deps.blobs = blobs.get();
  deps.spool = spool.get();
  deps.carbon = carbon.get();
  deps.plugins = plugins;
  if (own_watts > 0) {
    EnergyMeterEnv env;
    env.clock = &clock;
    env.simulated = SimulatedPower{.watts = own_watts};
    auto choice = ChooseEnergyMeter("simulated", env);
    own_energy_.push_back(std::make_unique<OwnEnergy>(std::move(choice->meter), /*pue=*/1));
    deps.own_energy = own_energy_.back().get();
  }
  auto started = Coordinator::Start(options, std::move(deps));
  if (!started.ok()) return started.status();
  coordinator_ = *std::move(started);
  for (const auto& client : clients) client->Attach(coordinator_.get());
  return absl::OkStatus();
}

void TestWorld::StartCoordinator(Kill kill) { ASSERT_EQ(TryStart(kill), absl::OkStatus()); }

void TestWorld::KillCoordinator() {
  for (const auto& client : clients) client->Attach(nullptr);
  if (mortal_executor_ == nullptr) return;
  mortal_executor_->Die();
  coordinator_.reset();
  OpenSpoolAgain();
  dead_executors_.push_back(std::move(mortal_executor_));
  dead_stores_.push_back(std::move(mortal_store_));
}

FakeClient* TestWorld::AddClient(FakeClient::Options client) {
  clients.push_back(std::make_unique<FakeClient>(std::move(client), &executor, &clock));
  clients.back()->Attach(coordinator_.get());
  clients.back()->Run();
  return clients.back().get();
}

std::vector<FakeClient*> TestWorld::AddClients(int count) {
  std::vector<FakeClient*> added;
  for (int i = 0; i < count; ++i) {
    added.push_back(AddClient({.name = absl::StrCat("device-", clients.size())}));
  }
  return added;
}

Digest TestWorld::AddBundle(uint64_t parameters, bool with_buffer, float value) {
  std::vector<TensorSpec> tensors = {
      {"w", DType::kF32, {static_cast<int64_t>(parameters)}, TensorRole::kTrainable}};
  if (with_buffer) tensors.push_back({"running", DType::kF32, {2}, TensorRole::kBuffer});
  BundleHeader header;
  header.name = "line";
  header.manifest = *Manifest::Create(tensors);
  header.input_shape = {1};
  const std::string path = absl::StrCat(dir_, "/line.fwb");
  std::vector<float> values(header.manifest.TotalBytes() / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i) values[i] = value * static_cast<float>(1 + i % 7);
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(values.data()),
                                       header.manifest.TotalBytes());
  EXPECT_EQ(BundleWriter::Write(path, header, {}, bytes, nullptr), absl::OkStatus());
  Digest bundle{};
  EXPECT_EQ(coordinator_->AddBundle(path, &bundle).value_or("?"), "line");
  return bundle;
}

JobSpec TestWorld::Spec(uint32_t goal) const {
  JobSpec spec;
  spec.name = "job";
  spec.rounds = 3;
  spec.dataset.name = "digits";
  spec.round.goal = goal;
  spec.round.selection_timeout_s = 60;
  spec.round.report_deadline_s = 120;
  spec.round.backoff_initial_s = 1;
  spec.codec.up = "raw_f32";  // models in these tests are exact unless they are about codecs
  spec.codec.down = "raw_f32";
  return spec;
}

JobView TestWorld::Submit(const JobSpec& spec) {
  auto job = coordinator_->SubmitJob(spec, AddBundle(), "");
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? *job : JobView{};
}

JobView TestWorld::RunToEnd(const std::string& job, int64_t limit_ms) {
  constexpr int64_t kStepMs = 100;
  JobView view;
  for (int64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += kStepMs) {
    executor.AdvanceMs(kStepMs);
    if (dead()) {
      ++restarts;
      StartCoordinator();
    }
    const auto found = coordinator_->GetJob(job);
    if (!found.ok()) continue;
    view = *found;
    if (view.state == JobState::kCompleted || view.state == JobState::kFailed) break;
  }
  return view;
}

}  // namespace fedwatt::testing
