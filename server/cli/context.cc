#include "server/cli/context.h"

#include <cstdio>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/transport/channel.h"
#include "common/transport/endpoint.h"
#include "common/transport/tls_credentials.h"
#include "nlohmann/json.hpp"
#include "server/cli/exit_codes.h"

namespace fedwatt::cli {

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::Open() const {
  FW_ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(server));
  if (insecure) {
    if (!endpoint.IsLoopback()) {
      return absl::InvalidArgumentError(absl::StrCat("--insecure works on loopback only, not with ",
                                                     server, "; use certificates (--tls-dir)"));
    }
    return OpenChannel(server, grpc::InsecureChannelCredentials());
  }
  auto identity = LoadTlsIdentity(TlsFiles::In(tls_dir, tls_name), clock->NowMs());
  if (!identity.ok()) {
    return absl::Status(
        identity.status().code(),
        absl::StrCat(std::string(identity.status().message()), " (--tls-dir ", tls_dir, ", --as ",
                     tls_name, "; `fedwatt doctor` checks them all)"));
  }
  return OpenChannel(server, MakeChannelCredentials(*identity));
}

absl::StatusOr<std::unique_ptr<AdminClient>> Context::Connect() const {
  FW_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, Open());
  return std::make_unique<AdminClient>(std::move(channel), server, insecure);
}

namespace {

std::string NextStep(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return "";
  if (absl::StrContains(std::string(status.message()), "certificate verify failed")) {
    return "; the coordinator is of another certificate authority: check --tls-dir";
  }
  return "; is fedwatt-coordinator running there? `fedwatt doctor` looks closer";
}

}  // namespace

int Fail(const Context& context, const absl::Status& status) {
  const int code = ExitCodeOf(status);
  const std::string message = absl::StrCat(std::string(status.message()), NextStep(status));
  if (context.json) {
    const nlohmann::json out = {{"error", message}, {"exit_code", code}};
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cerr << "error: " << message << std::endl;
  }
  return code;
}

}  // namespace fedwatt::cli
