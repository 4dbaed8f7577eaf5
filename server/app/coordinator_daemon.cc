#include "server/app/coordinator_daemon.h"

#include <malloc.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/cpu_time.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/base/version.h"
#include "common/codec/codec.h"
#include "common/energy/energy_meter.h"
#include "common/energy/poll_timer.h"
#include "common/transport/authenticator.h"
#include "common/transport/endpoint.h"
#include "common/transport/grpc_log.h"
#include "common/transport/tls_credentials.h"
#include "server/app/exit_codes.h"
#include "server/carbon/carbon_desk.h"
#include "server/driver/coordinator.h"
#include "server/driver/grpc_adapter/grpc_server.h"
#include "server/driver/grpc_adapter/scratch_file.h"
#include "server/store/sqlite_store.h"

namespace fedwatt::server {
namespace {

constexpr int64_t kDrainMs = 1'000;
constexpr int64_t kStreamIdleMs = 60'000;
constexpr int64_t kCarbonEveryMs = 5 * 60 * 1000;  // WattTime's step; Electricity Maps' is an hour
constexpr int64_t kPruneEveryMs = int64_t{24} * 3600 * 1000;
// Calls wait here for disk and store, so that the coordinator's own threads never do.
constexpr int kCallThreads = 4;
constexpr size_t kKeyBytes = 32;
constexpr uint64_t kMaxKeyFileBytes = 4096;

// Which part of the start failed decides the exit code.
struct StartError {
  absl::Status status;
  int code = kError;
};

int StoreCode(const absl::Status& status) {
  if (absl::IsDataLoss(status)) return kDataCorrupt;
  if (absl::IsFailedPrecondition(status)) return kDataInUse;
  return kError;
}

// The secret behind pseudonyms: made once, kept as long as the data.
absl::StatusOr<std::string> PopulationKey(const std::string& data_dir) {
  const std::string path = data_dir + "/population.key";
  if (FileExists(path)) return ReadFile(path, kMaxKeyFileBytes);
  uint8_t random[kKeyBytes];
  if (getrandom(random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random))) {
    return absl::InternalError("the system gave no random bytes for the population key");
  }
  std::string key = HexEncode(ByteSpan(random));
  FW_RETURN_IF_ERROR(WriteFileAtomic(path, key, 0600));
  return key;
}

template <typename Map>
std::vector<std::string> Names(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, make] : map) names.push_back(name);
  return names;
}

std::vector<std::string> CodecNames() {
  std::vector<std::string> names;
  for (const CodecEntry& entry : BuiltinCodecs()) names.push_back(entry.name);
  return names;
}

// Members in order of construction; taken apart in the reverse.
class Daemon {
 public:
  Daemon(CoordinatorConfig config, const Plugins& plugins)
      : config_(std::move(config)), plugins_(plugins), budget_(ChunkBytes()) {}

  ~Daemon() { Stop(); }

  StartError Start() {
    StartError error = CheckNetwork();
    if (error.status.ok()) error = OpenData();
    if (error.status.ok()) error = OpenCarbon();
    if (error.status.ok()) error = OpenMeter();
    if (error.status.ok()) error = Serve();
    return error;
  }

  void Stop() {
    if (coordinator_ != nullptr) coordinator_->Shutdown();
    if (server_ != nullptr) server_->Shutdown(kDrainMs);
    if (call_pool_ != nullptr) call_pool_->Shutdown();
    if (pool_ != nullptr) pool_->Shutdown();
    server_.reset();
    coordinator_.reset();
  }

 private:
  // Before the data is touched: what can be said of address and certificates.
  StartError CheckNetwork() {
    auto listen = ParseEndpoint(config_.listen);
    if (!listen.ok()) return {listen.status(), kUsage};
    listen_ = *std::move(listen);
    if (config_.insecure) {
      if (!listen_.IsLoopback()) {
        return {absl::InvalidArgumentError(
                    absl::StrCat("--insecure listens on loopback only, not on ", config_.listen,
                                 ": everybody there could be anybody; use --tls-dir")),
                kUsage};
      }
      authenticator_ = std::make_unique<InsecureAuthenticator>();
      return {};
    }
    tls_ = TlsFiles::In(config_.tls_dir, config_.tls_name);
    if (auto identity = LoadTlsIdentity(*tls_, clock_.NowMs()); !identity.ok()) {
      return {identity.status(), kCertificate};
    }
    auto authenticator =
        CertificateAuthenticator::Create(&clock_, config_.tls_dir + "/revoked.txt");
    if (!authenticator.ok()) return {authenticator.status(), kCertificate};
    authenticator_ = *std::move(authenticator);
    return {};
  }

  // The memory for transfers: apart, so that none can starve another.
  uint64_t TransportBytes() const { return config_.inflight_bytes / 2; }
  uint64_t HeldUpdateBytes() const { return config_.inflight_bytes / 4; }
  uint64_t ChunkBytes() const {
    return config_.inflight_bytes - TransportBytes() - HeldUpdateBytes();
  }

  StartError OpenData() {
    const std::string& dir = config_.data_dir;
    if (const absl::Status made = EnsureDir(dir, 0700); !made.ok()) return {made, kError};
    auto store = SqliteStore::Open({.dir = dir});
    if (!store.ok()) return {store.status(), StoreCode(store.status())};
    store_ = *std::move(store);
    if (const absl::Status cleared = ClearScratch(dir); !cleared.ok()) return {cleared, kError};
    auto blobs = OpenDirBlobStore(dir + "/blobs");
    if (!blobs.ok()) return {blobs.status(), StoreCode(blobs.status())};
    blobs_ = *std::move(blobs);
    auto spool = OpenSpool({.dir = dir + "/spool",
                            .max_bytes = config_.spool_bytes,
                            .max_memory_bytes = HeldUpdateBytes()});
    if (!spool.ok()) return {spool.status(), StoreCode(spool.status())};
    spool_ = *std::move(spool);
    auto key = PopulationKey(dir);
    if (!key.ok()) return {key.status(), kError};
    population_key_ = *std::move(key);
    return {};
  }

  // A source that cannot be made is an error at once; one that does not answer is not.
  StartError OpenCarbon() {
    CarbonConfig carbon;
    carbon.source = config_.carbon_source;
    carbon.region = config_.carbon_region;
    carbon.path = config_.carbon_file;
    carbon.url = config_.carbon_url;
    carbon.token_file = config_.carbon_token_file;
    carbon.cache_file = config_.data_dir + "/carbon.json";
    carbon_ = std::make_unique<CarbonDesk>(std::move(carbon));
    if (const auto own = carbon_->For("", ""); !own.ok()) return {own.status(), kUsage};
    if (const absl::Status allowed = carbon_->AllowClientRegions(config_.client_regions);
        !allowed.ok()) {
      return {allowed, kUsage};
    }
    if (config_.surplus_file.empty()) return {};
    if (const absl::Status read = carbon_->ReadSurplus(config_.surplus_file); !read.ok()) {
      return {read, kUsage};
    }
    return {};
  }

  StartError OpenMeter() {
    if (config_.meter == "off") return {};
    EnergyMeterEnv env;
    env.clock = &clock_;
    env.cpu_time_us = SelfCpuTimeUs;
    env.machine_cpu_time_us = [] { return MachineCpuTimeUs().value_or(0); };
    env.start_polling = StartThreadPollTimer;
    auto choice = ChooseEnergyMeter(config_.meter, env);
    if (!choice.ok() && config_.meter != "auto") return {choice.status(), kUsage};
    if (!choice.ok()) {
      LogWarning("the coordinator's own joules are unknown",
                 {{"why", std::string(choice.status().message())}});
      return {};
    }
    LogInfo(absl::StrCat("own joules by ", choice->why));
    own_energy_ = std::make_unique<OwnEnergy>(std::move(choice->meter), config_.pue);
    return {};
  }

  void RefreshCarbon() {
    carbon_->Refresh(clock_.NowMs());
    call_pool_->PostAfter(kCarbonEveryMs, [this] { RefreshCarbon(); });
  }

  StartError Serve() {
    const uint32_t processors = std::max(1u, std::thread::hardware_concurrency());
    const uint32_t threads = config_.threads > 0 ? config_.threads : processors;
    pool_ = std::make_unique<ThreadPool>(static_cast<int>(threads));
    call_pool_ = std::make_unique<ThreadPool>(kCallThreads);
    CoordinatorOptions options;
    options.version = kVersion;
    options.population_key = population_key_;
    options.long_poll_max_ms = static_cast<int64_t>(config_.long_poll_s * 1000);
    options.retry_after_ms = static_cast<int64_t>(config_.retry_after_s * 1000);
    options.fold_threads = threads;
    auto coordinator = Coordinator::Start(options, {.clock = &clock_,
                                                    .executor = pool_.get(),
                                                    .store = store_.get(),
                                                    .blobs = blobs_.get(),
                                                    .spool = spool_.get(),
                                                    .carbon = carbon_.get(),
                                                    .own_energy = own_energy_.get(),
                                                    .plugins = plugins_});
    if (!coordinator.ok()) return {coordinator.status(), StoreCode(coordinator.status())};
    coordinator_ = *std::move(coordinator);
    auto server = GrpcServer::Start(
        {.listen = listen_, .tls = tls_, .buffer_bytes = TransportBytes()}, Calls());
    if (!server.ok()) return {server.status(), kCannotListen};
    server_ = *std::move(server);
    Prune();
    call_pool_->Post([this] { RefreshCarbon(); });
    return Announce();
  }

  CallDeps Calls() {
    return {.coordinator = coordinator_.get(),
            .authenticator = authenticator_.get(),
            .executor = call_pool_.get(),
            .budget = &budget_,
            .clock = &clock_,
            .upload_wait_ms = static_cast<int64_t>(config_.upload_wait_s * 1000),
            .stream_idle_ms = kStreamIdleMs,
            .data_dir = config_.data_dir,
            .version = kVersion,
            .selectors = Names(plugins_.selectors),
            .strategies = Names(plugins_.strategies),
            .aggregators = Names(plugins_.aggregators),
            .codecs = CodecNames()};
  }

  StartError Announce() {
    Endpoint at = listen_;
    at.port = server_->port();
    LogInfo(absl::StrCat("fedwatt-coordinator ", kVersion, " ready on ", at.ToString(), " (",
                         authenticator_->Describe(), "), data in ", config_.data_dir));
    if (config_.port_file.empty()) return {};
    return {WriteFileAtomic(config_.port_file, absl::StrCat(at.port, "\n")), kError};
  }

  void Prune() {
    const RetentionDays days{
        .energy = config_.keep_days,
        .assignments = std::min(config_.keep_days, RetentionDays().assignments),
        .history = config_.keep_days};
    if (const absl::Status pruned = store_->Prune(days, clock_.NowMs()); !pruned.ok()) {
      LogWarning("old rows could not be removed", {{"why", std::string(pruned.message())}});
    }
    pool_->PostAfter(kPruneEveryMs, [this] { Prune(); });
  }

  const CoordinatorConfig config_;
  const Plugins plugins_;
  const SystemClock clock_;
  UploadBudget budget_;
  Endpoint listen_;
  std::optional<TlsFiles> tls_;
  std::string population_key_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<ThreadPool> call_pool_;
  std::unique_ptr<SqliteStore> store_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<CarbonDesk> carbon_;
  std::unique_ptr<OwnEnergy> own_energy_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<GrpcServer> server_;
};

// glibc gives each thread an arena of its own and keeps what was freed; a daemon of many threads
// and large buffers would grow by that alone. Chunks of 1 MiB stay below the mmap threshold:
// mapping and faulting in each anew costs a third of an upload's processor time.
void BoundMalloc() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

}  // namespace

int CoordinatorMain(const std::vector<std::string>& args, const Plugins& plugins) {
  const ParsedCommandLine parsed = ParseCommandLine(args);
  if (parsed.exit_code.has_value()) {
    std::fputs(parsed.text.c_str(), *parsed.exit_code == kOk ? stdout : stderr);
    return *parsed.exit_code;
  }
  BoundMalloc();
  ConfigureLogging({.level = ParseLogLevel(parsed.config.log_level).value_or(LogLevel::kInfo),
                    .json = parsed.config.log_json});
  RouteGrpcLog();
  const auto shutdown = ShutdownSignal::Install();
  if (!shutdown.ok()) {
    LogError("cannot start", {{"why", std::string(shutdown.status().message())}});
    return kError;
  }
  Daemon daemon(parsed.config, plugins);
  if (const StartError error = daemon.Start(); !error.status.ok()) {
    LogError("cannot start", {{"why", std::string(error.status.message())}});
    return error.code;
  }
  (*shutdown)->WaitForShutdown();
  LogInfo("stopping; what is under way goes on after the next start");
  daemon.Stop();
  return kOk;
}

}  // namespace fedwatt::server
