#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/capi/struct_check.h"
#include "client/sdk/grpc_transport.h"
#include "client/sdk/session.h"
#include "common/base/clock.h"

namespace fedwatt {

// fedwatt_options, checked and copied: nothing in here points into the app's memory, but for the
// `ctx` and functions of its objects, and the texts of its trainer's table.
struct ClientSetup {
  GrpcTransportOptions transport;
  SessionOptions session;

  fedwatt_data_source data{};
  std::optional<fedwatt_trainer> trainer;  // else torch_program
  std::string torch_program;
  uint64_t trainer_memory_bytes = 0;
  std::optional<fedwatt_meter> meter;
  bool no_meter = false;
  std::optional<fedwatt_conditions> conditions;
  std::optional<fedwatt_listener> listener;
  int64_t callback_ms = 0;
};

// The errors of fedwatt_client_open, but for those of the state folder. Reads the certificate, to
// learn who this client is.
absl::StatusOr<ClientSetup> ReadOptions(const fedwatt_options* options, const Clock& clock);

}  // namespace fedwatt
