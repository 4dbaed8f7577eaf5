#include "client/sdk/grpc_connection.h"

#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/transport/authenticator.h"
#include "common/transport/channel.h"
#include "common/transport/grpc_status.h"

namespace fedwatt {
namespace {

// Ignores case: `parts` are lower-case.
bool ContainsAny(const std::string& text, std::initializer_list<const char*> parts) {
  const std::string lower = absl::AsciiStrToLower(text);
  return std::any_of(parts.begin(), parts.end(),
                     [&lower](const char* part) { return absl::StrContains(lower, part); });
}

// gRPC has one code for everything that breaks a connection; its texts tell them apart.
std::string ExplainBroken(const std::string& text, const std::string& address, bool tls) {
  if (ContainsAny(text, {"connection refused"})) {
    return absl::StrCat("cannot reach ", address,
                        " (connection refused): is fedwatt-coordinator running there?");
  }
  if (ContainsAny(text, {"name resolution", "dns resolution", "resolver"})) {
    return absl::StrCat("cannot reach ", address, " (no such host): check the name");
  }
  if (ContainsAny(text, {"timed out", "timeout", "no route", "unreachable"})) {
    return absl::StrCat("cannot reach ", address,
                        " (no answer): check the network, the address and the firewall");
  }
  if (ContainsAny(text, {"handshake", "ssl", "certificate", "peer name", "hostname"})) {
    return absl::StrCat(
        "cannot make a TLS connection to ", address,
        ": the coordinator there does not speak TLS, or its certificate is of another authority "
        "than our ca.pem, expired or not valid yet by this machine's clock, or does not name this "
        "host (",
        text, ")");
  }
  if (ContainsAny(text, {"socket closed", "connection reset", "broken pipe", "recvmsg", "goaway",
                         "endpoint", "empty address list"})) {
    return absl::StrCat(
        address, " closed the connection",
        tls ? "; if it does so every time, it may not accept our certificate: of another "
              "authority, or expired by its clock"
            : "; if it does so every time, it may expect TLS",
        " (", text, ")");
  }
  return absl::StrCat(address, ": ", text);
}

// The last user of a connection or a call is often a callback of gRPC. Both hold the channel, and
// when a process' last channel goes, gRPC joins the threads that run callbacks: from inside of one
// that ends in a crash (seen with gRPC 1.51).
template <typename T>
void ReleaseOn(Executor* executor, T object) {
  executor->Post([owned = std::move(object)] {});
}

}  // namespace

absl::StatusOr<std::shared_ptr<GrpcConnection>> GrpcCalls::Connect() {
  MutexLock lock(&mutex_);
  if (connection_ != nullptr) return connection_;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (options_.tls.has_value()) {
    absl::StatusOr<TlsIdentity> identity = LoadTlsIdentity(*options_.tls, clock_->NowMs());
    if (!identity.ok()) return Annotate(identity.status(), "cannot connect with our certificate");
    credentials = MakeChannelCredentials(*identity);
  } else {
    credentials = grpc::InsecureChannelCredentials();
  }
  auto connection = std::make_unique<GrpcConnection>(OpenChannel(options_.address, credentials));
  connection_ = std::shared_ptr<GrpcConnection>(
      connection.release(), [executor = executor_](GrpcConnection* released) {
        ReleaseOn(executor, std::unique_ptr<GrpcConnection>(released));
      });
  return connection_;
}

void GrpcCalls::Disconnect() {
  std::shared_ptr<GrpcConnection> dropped;
  Spent spent;
  {
    MutexLock lock(&mutex_);
    dropped.swap(connection_);
    spent.swap(spent_);
  }
  if (!spent.empty()) ReleaseOn(executor_, std::move(spent));
}

// They wait for the next call of their connection, which is cheaper than a way to the executor for
// each: as long as there is a connection, theirs is not the last channel.
void GrpcCalls::Retire(std::unique_ptr<grpc::ClientContext> context) {
  {
    MutexLock lock(&mutex_);
    if (connection_ != nullptr) {
      spent_.push_back(std::move(context));
      return;
    }
  }
  ReleaseOn(executor_, std::move(context));
}

std::shared_ptr<grpc::ClientContext> GrpcCalls::BeginCall(int64_t timeout_ms) {
  std::shared_ptr<grpc::ClientContext> context(
      new grpc::ClientContext(), [this](grpc::ClientContext* released) {
        Retire(std::unique_ptr<grpc::ClientContext>(released));
      });
  context->set_deadline(gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
  if (!options_.tls.has_value()) {
    context->AddMetadata(kSubjectMetadataKey, options_.subject);
    context->AddMetadata(kRoleMetadataKey, RoleName(options_.role));
  }
  Spent spent;  // destroyed without the lock
  MutexLock lock(&mutex_);
  spent.swap(spent_);
  calls_.insert(context);
  ++pending_;
  return context;
}

absl::Status GrpcCalls::EndCall(const std::shared_ptr<grpc::ClientContext>& context,
                                const grpc::Status& status, int64_t timeout_ms) {
  bool cancelled_here = false;
  {
    MutexLock lock(&mutex_);
    calls_.erase(context);
    cancelled_here = cancelled_.erase(context.get()) > 0;
  }
  const absl::Status plain = FromGrpcStatus(status, *context);
  if (plain.ok()) return plain;
  if (absl::IsUnavailable(plain)) Disconnect();
  return Explain(plain, cancelled_here, timeout_ms);
}

absl::Status GrpcCalls::Explain(const absl::Status& status, bool cancelled_here,
                                int64_t timeout_ms) const {
  const auto with = [&status](absl::StatusCode code, const std::string& message) {
    absl::Status explained(code, message);
    status.ForEachPayload([&explained](absl::string_view url, const absl::Cord& payload) {
      explained.SetPayload(url, payload);
    });
    return explained;
  };
  const std::string text(status.message());
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return with(absl::StatusCode::kUnavailable,
                  ExplainBroken(text, options_.address, options_.tls.has_value()));
    case absl::StatusCode::kCancelled:
      if (cancelled_here) return absl::CancelledError("cancelled by this client");
      // A coordinator that stops cancels what runs; nobody here asked for it.
      return with(absl::StatusCode::kUnavailable,
                  absl::StrCat(options_.address, " ended the call: it is probably stopping"));
    case absl::StatusCode::kDeadlineExceeded:
      if (!ContainsAny(text, {"deadline exceeded"})) return status;
      return with(absl::StatusCode::kDeadlineExceeded,
                  absl::StrCat("no answer from ", options_.address, " within ",
                               HumanDuration(timeout_ms), ": check the network"));
    default:
      return status;
  }
}

void GrpcCalls::AddPending() {
  MutexLock lock(&mutex_);
  ++pending_;
}

void GrpcCalls::RemovePending() {
  MutexLock lock(&mutex_);
  --pending_;
  // Under the lock: the waiter may destroy this object as soon as it gets it.
  if (pending_ == 0) idle_.NotifyAll();
}

void GrpcCalls::CancelAll() {
  std::vector<std::shared_ptr<grpc::ClientContext>> calls;
  {
    MutexLock lock(&mutex_);
    for (const auto& call : calls_) {
      calls.push_back(call);
      cancelled_.insert(call.get());
    }
  }
  for (const auto& call : calls) call->TryCancel();
}

void GrpcCalls::WaitUntilIdle() {
  MutexLock lock(&mutex_);
  while (pending_ > 0) idle_.Wait(&mutex_);
}

}  // namespace fedwatt
