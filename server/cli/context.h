#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/signals.h"
#include "server/cli/admin_client.h"

// What every command is given: the global flags and the world outside.
namespace fedwatt::cli {

struct Context {
  std::string server = "127.0.0.1:7443";
  std::string tls_dir = "certs";
  std::string tls_name = "operator";  // NAME.pem and NAME.key in tls_dir
  bool insecure = false;
  bool json = false;
  const Clock* clock = nullptr;
  ShutdownSignal* shutdown = nullptr;

  // UNAUTHENTICATED, NOT_FOUND, ...: a certificate that cannot work is named before anything is
  // sent.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Open() const;
  // The same, for calls of the admin service.
  absl::StatusOr<std::unique_ptr<AdminClient>> Connect() const;
};

// Prints "error: ..." (or {"error": ...} with --json) and gives the exit code.
int Fail(const Context& context, const absl::Status& status);

}  // namespace fedwatt::cli
