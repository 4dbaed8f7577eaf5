#include "simulation/coordinator_host.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {

CoordinatorHost::CoordinatorHost(CoordinatorHostOptions options, FakeClock* clock,
                                 ManualExecutor* executor)
    : options_(std::move(options)), clock_(clock), executor_(executor), faults_(options_.faults) {}

absl::StatusOr<std::unique_ptr<CoordinatorHost>> CoordinatorHost::Create(
    CoordinatorHostOptions options, FakeClock* clock, ManualExecutor* executor) {
  std::unique_ptr<CoordinatorHost> host(new CoordinatorHost(std::move(options), clock, executor));
  FW_RETURN_IF_ERROR(EnsureDir(host->options_.dir, 0700));
  host->disk_ = std::make_unique<MemoryStore>(nullptr);
  FW_ASSIGN_OR_RETURN(host->blobs_, OpenDirBlobStore(absl::StrCat(host->options_.dir, "/blobs")));
  host->carbon_ = std::make_unique<CarbonDesk>(host->options_.carbon);
  FW_RETURN_IF_ERROR(host->carbon_->AllowClientRegions(host->options_.client_regions));
  if (!host->options_.surplus_file.empty()) {
    FW_RETURN_IF_ERROR(host->carbon_->ReadSurplus(host->options_.surplus_file));
  }
  FW_RETURN_IF_ERROR(host->OpenSpoolAgain());
  return host;
}

CoordinatorHost::~CoordinatorHost() {
  if (mortal_executor_ != nullptr) {
    mortal_executor_->OnDeath(nullptr);
    mortal_executor_->Die();
  }
  coordinator_.reset();
}

// What was in its memory is lost.
absl::Status CoordinatorHost::OpenSpoolAgain() {
  spool_.reset();
  FW_ASSIGN_OR_RETURN(spool_, OpenSpool({.dir = absl::StrCat(options_.dir, "/spool"),
                                         .max_memory_bytes = options_.spool_memory_bytes}));
  return absl::OkStatus();
}

absl::Status CoordinatorHost::Start() {
  const Kill kill = faults_.KillOf(life_);
  ++life_;
  mortal_executor_ = std::make_unique<MortalExecutor>(executor_, kill);
  mortal_executor_->OnDeath([this] { Died(); });
  mortal_store_ = std::make_unique<MortalStore>(disk_.get(), mortal_executor_.get(), kill,
                                                options_.faults.sync_delay_ms);
  mortal_store_->OnDurable(witness_);
  CoordinatorDeps deps;
  deps.clock = clock_;
  deps.executor = mortal_executor_.get();
  deps.store = mortal_store_.get();
  deps.blobs = blobs_.get();
  deps.spool = spool_.get();
  deps.carbon = carbon_.get();
  FW_ASSIGN_OR_RETURN(coordinator_, Coordinator::Start(options_.coordinator, std::move(deps)));
  if (on_change_) on_change_(true, 0);
  return absl::OkStatus();
}

void CoordinatorHost::Died() {
  const int tasks = mortal_executor_->tasks();
  coordinator_.reset();
  dead_executors_.push_back(std::move(mortal_executor_));
  dead_stores_.push_back(std::move(mortal_store_));
  failure_ = OpenSpoolAgain();
  if (on_change_) on_change_(false, tasks);
  // None of them leaves while it is told: all that they do comes later.
  for (const auto& [number, peer] : peers_) peer->OnCoordinatorDied();
  if (!failure_.ok()) return;
  executor_->PostAfter(options_.faults.down_ms, [this] { failure_ = Start(); });
}

}  // namespace fedwatt
