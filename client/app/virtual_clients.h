#pragma once

#include "client/app/client_config.h"
#include "common/base/clock.h"
#include "common/base/signals.h"

namespace fedwatt::client {

// fedwatt-client --virtual K: many clients in one process, for load tests and for simulations over
// several machines. To the coordinator they are K devices: each has an identity, a certificate, a
// connection, a state folder and a session of its own. They share threads and trainers, and no
// meter: what this process uses is nobody's share.
//
// --once and --exit-when-idle-s count over all of them. One log line every few seconds says how far
// they are; of single clients only what is wrong is logged, with the client's name, and at the
// level debug everything.
//
// Runs until `shutdown`, and returns the exit code: that of RunAgent.
int RunVirtualClients(const ClientConfig& config, const Clock& clock, ShutdownSignal* shutdown);

}  // namespace fedwatt::client
