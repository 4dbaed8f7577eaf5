#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/app/client_config.h"
#include "client/sdk/session.h"
#include "common/base/clock.h"
#include "common/transport/tls_credentials.h"

// From flags to the parts of a session. Each step says what it found, for --check and for the log,
// and fails before anything is connected.
namespace fedwatt::client {

// Who this client is.
struct ClientIdentity {
  std::optional<TlsFiles> tls;  // none: insecure
  std::string subject;
  Role role = Role::kClient;
  std::string found;  // "client-1, valid until 2026-04-01T00:00:00Z"
};

// UNAUTHENTICATED, NOT_FOUND, PERMISSION_DENIED and INVALID_ARGUMENT as LoadTlsIdentity, and
// PERMISSION_DENIED for a role that the certificate does not give.
absl::StatusOr<ClientIdentity> FindIdentity(const ClientConfig& config, const Clock& clock);

absl::StatusOr<std::vector<PublicKey>> LoadTrustedKeys(const std::vector<std::string>& files);

// Opens each once to count its examples. With the echo trainer a name alone will do. The option
// schema=N is ours: the schema version that the coordinator is told.
absl::StatusOr<std::vector<OfferedDataset>> FindDatasets(const ClientConfig& config,
                                                         std::vector<std::string>* found);

// "auto" is torch where fedwatt-torch is installed, else portable. NOT_FOUND says where
// fedwatt-torch was looked for.
absl::StatusOr<std::unique_ptr<Trainer>> FindTrainer(const ClientConfig& config,
                                                     const Clock* clock);

struct FoundMeter {
  std::unique_ptr<EnergyMeter> meter;  // null: none
  std::string found;
};
// `trainer` outlives the meter, whose methods any thread may call. With "auto", a host without any
// meter is no error; a calibration file that was asked for and cannot be used is.
absl::StatusOr<FoundMeter> FindMeter(const ClientConfig& config, const Clock* clock,
                                     const Trainer* trainer);

}  // namespace fedwatt::client
