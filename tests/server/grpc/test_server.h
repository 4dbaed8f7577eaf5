#pragma once

// A GrpcServer on a free loopback port over a FakeCoordinator, and channels to it.

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/thread_pool.h"
#include "common/transport/authenticator.h"
#include "common/transport/channel.h"
#include "common/transport/tls_credentials.h"
#include "server/driver/grpc_adapter/grpc_server.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/grpc/fake_coordinator.h"

namespace fedwatt {

struct TestServerOptions {
  std::optional<TlsFiles> tls;
  std::string revocations;
  const Clock* clock = nullptr;  // of the authenticator; null: the system's
  uint64_t inflight_bytes = 64 << 20;
  uint64_t buffer_bytes = 64 << 20;
  int64_t upload_wait_ms = 20'000;
  int64_t stream_idle_ms = 20'000;
};

class TestServer {
 public:
  explicit TestServer(const TestServerOptions& options = {})
      : executor_(4), coordinator_(&executor_) {
    budget_ = std::make_unique<UploadBudget>(options.inflight_bytes);
    if (options.tls.has_value()) {
      authenticator_ = CertificateAuthenticator::Create(
                           options.clock != nullptr ? options.clock : &clock_, options.revocations)
                           .value();
    } else {
      authenticator_ = std::make_unique<InsecureAuthenticator>();
    }
    CallDeps deps;
    deps.coordinator = &coordinator_;
    deps.authenticator = authenticator_.get();
    deps.executor = &executor_;
    deps.budget = budget_.get();
    deps.clock = &clock_;
    deps.upload_wait_ms = options.upload_wait_ms;
    deps.stream_idle_ms = options.stream_idle_ms;
    deps.data_dir = dir_.path();
    deps.version = "1.2.3";
    deps.selectors = {"uniform"};
    server_ =
        GrpcServer::Start(
            {.listen = {"127.0.0.1", 0}, .tls = options.tls, .buffer_bytes = options.buffer_bytes},
            deps)
            .value();
  }

  ~TestServer() {
    coordinator_.Shutdown();
    server_->Shutdown(200);
    executor_.Shutdown();
  }

  GrpcServer& server() { return *server_; }
  FakeCoordinator& coordinator() { return coordinator_; }
  UploadBudget& budget() { return *budget_; }
  const std::string& data_dir() const { return dir_.path(); }
  std::string address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

  std::shared_ptr<grpc::Channel> InsecureChannel() const {
    return OpenChannel(address(), grpc::InsecureChannelCredentials());
  }
  // Shows the certificate as it is, also one that LoadTlsIdentity would refuse to use.
  std::shared_ptr<grpc::Channel> TlsChannel(const TlsFiles& files,
                                            const std::string& authority_path) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ReadFile(authority_path, 1 << 20).value();
    if (!files.certificate.empty()) {
      options.pem_cert_chain = ReadFile(files.certificate, 1 << 20).value();
      options.pem_private_key = ReadFile(files.key, 1 << 20).value();
    }
    return OpenChannel(address(), grpc::SslCredentials(options));
  }
  std::shared_ptr<grpc::Channel> TlsChannel(const TlsFiles& files) const {
    return TlsChannel(files, files.authority);
  }

 private:
  const SystemClock clock_;
  TempDir dir_;
  ThreadPool executor_;
  FakeCoordinator coordinator_;
  std::unique_ptr<UploadBudget> budget_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace fedwatt
