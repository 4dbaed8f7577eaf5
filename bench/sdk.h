#pragma once

#include <string>

#include "absl/status/status.h"
#include "bench/interrupt.h"
#include "bench/table.h"
#include "common/base/clock.h"

namespace fedwatt::bench {

struct SdkOptions {
  std::string bin_dir;  // fedwatt, fedwatt-client, fedwatt-coordinator, bench_sdk_app
  std::string library;  // libfedwatt_client.so of the preset sdk; empty: its size is not measured
  std::string scratch;
};

// What the client library costs an app: its size, an idle session's memory and wake-ups, the time
// to the first check-in, and many clients in one process. Over mutual TLS on loopback.
absl::Status RunSdk(const SdkOptions& options, const Clock& clock, Interrupt* interrupt,
                    Table* table);

}  // namespace fedwatt::bench
