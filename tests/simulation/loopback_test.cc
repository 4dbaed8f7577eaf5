// Law 1: the same job, by processes over gRPC and mutual TLS on loopback, and by the simulator,
// gives the same clients the same assignments and ends with the same model, to the last bit.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/wire/job_wire.h"
#include "server/store/sqlite_store.h"
#include "simulation/scratch_folder.h"
#include "simulation/simulation.h"
#include "simulation/worker_bench.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

constexpr int kClients = 3;
constexpr int kRounds = 2;
constexpr char kData[] =
    "digits=idx:/usr/share/datasets/fashion-mnist?partition=dirichlet&alpha=0.5&examples=60&";

struct Outcome {
  std::string model;
  std::map<std::string, std::string> clients;  // pseudonym by assignment

  bool operator==(const Outcome&) const = default;
};

std::string DataOf(const std::string& clients, const std::string& client) {
  return absl::StrCat(kData, "clients=", clients, "&client=", client);
}

class Loopback : public ::testing::Test {
 protected:
  Outcome RunProcesses() {
    Outcome outcome;
    EXPECT_TRUE(fleet_.StartCoordinator());
    for (int i = 0; i < kClients; ++i) {
      fleet_.StartClient(absl::StrCat("client-", i),
                         {.work = {"--dataset", DataOf(absl::StrCat(kClients), absl::StrCat(i))}});
    }
    EXPECT_TRUE(fleet_.WaitForClients(kClients));
    const std::string id = fleet_.Submit(
        {.name = "twin",
         .bundle = "model.fwb",
         .rounds = kRounds,
         .goal = kClients,
         .codec = "eden:bits=2",
         .set = {"dataset.name=digits", "plan.local_steps=2", "plan.local_epochs=0", "seed=11"}});
    EXPECT_TRUE(fleet_.WaitForEnd(id, 120'000));
    const v1::Job job = fleet_.Job(id);
    EXPECT_EQ(job.state(), v1::JOB_STATE_COMPLETED) << job.reason();
    outcome.model = ModelHash(job);
    spec_ = wire::FromProto(job.spec()).value_or(JobSpec());
    fleet_.KillCoordinator();
    const auto store = SqliteStore::Open({.dir = fleet_.data_dir()});
    EXPECT_TRUE(store.ok()) << store.status();
    for (uint64_t round = 1; store.ok() && round <= kRounds; ++round) {
      for (uint32_t index = 0; index < kClients; ++index) {
        const std::string name = MakeAssignmentId({.job = id, .round = round}, index);
        const auto found = (*store)->FindAssignment(name);
        if (found.ok() && found->has_value()) outcome.clients[name] = (*found)->client;
      }
    }
    return outcome;
  }

  Outcome RunSimulation(int workers) {
    Outcome outcome;
    SimulationOptions options;
    options.job = spec_;
    options.bundle = fleet_.File("model.fwb");
    options.fleet = DefaultFleet();
    options.devices = kClients;
    options.dataset = DataOf("{clients}", "{client}");
    options.population_key =
        ReadFile(absl::StrCat(fleet_.data_dir(), "/population.key"), 4096).value_or("");
    options.name_prefix = "client-";
    options.replay = true;
    options.scratch_dir = *MakeScratchFolder("");
    options.on_durable = [&outcome](const std::vector<StoreWrite>& batch) {
      for (const StoreWrite& write : batch) {
        const auto* const append = std::get_if<AppendLog>(&write);
        const auto* const assigned =
            append == nullptr ? nullptr : std::get_if<ClientsAssigned>(&append->record);
        for (uint32_t i = 0; assigned != nullptr && i < assigned->clients.size(); ++i) {
          outcome.clients[MakeAssignmentId(assigned->key, i)] = assigned->clients[i];
        }
      }
    };
    WorkerTrainerOptions worker;
    worker.program = BinDir() + "/fedwatt-torch";
    worker.device = "cpu";
    auto simulation = Simulation::Create(
        options, MakeWorkerBench(worker.name, worker.formats, workers, [&worker, this] {
          return std::make_unique<WorkerTrainer>(worker, &clock_);
        }));
    EXPECT_TRUE(simulation.ok()) << simulation.status();
    if (!simulation.ok()) return outcome;
    const auto result = (*simulation)->Run(nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return outcome;
    EXPECT_TRUE(result->violations.empty()) << result->violations.front();
    EXPECT_EQ(result->replayed_commits, static_cast<uint64_t>(kRounds));
    outcome.model = DigestHex(result->job.last.sha256);
    traces_.insert(DigestHex(result->trace_hash));
    return outcome;
  }

  SystemClock clock_;
  Deployment fleet_{kClients};
  JobSpec spec_;
  std::set<std::string> traces_;
};

TEST_F(Loopback, ProcessesAndTheSimulatorTrainTheSameModel) {
  const Output made =
      RunToEnd({.argv = {BinDir() + "/fedwatt-torch", "new", "mlp", "-o", fleet_.File("model.fwb"),
                         "--hidden", "16", "--key", fleet_.certs() + "/owner.key"}},
               fleet_.scratch());
  ASSERT_EQ(made.code, 0) << made.ToString();
  const Outcome processes = RunProcesses();
  EXPECT_EQ(processes.clients.size(), static_cast<size_t>(kClients * kRounds));
  const Outcome one_worker = RunSimulation(1);
  EXPECT_EQ(one_worker.model, processes.model);
  EXPECT_EQ(one_worker.clients, processes.clients);
  const Outcome two_workers = RunSimulation(2);
  EXPECT_EQ(two_workers, one_worker);
  EXPECT_EQ(traces_.size(), 1U);
}

}  // namespace
}  // namespace fedwatt::e2e
