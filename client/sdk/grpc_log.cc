#include "client/sdk/grpc_log.h"

#include <grpc/support/log.h>

#include <set>
#include <utility>

#include "common/base/mutex.h"

namespace fedwatt {

// Never destroyed: gRPC's threads may outlive main.
struct GrpcLogTaps {
  Mutex mutex;
  std::set<const GrpcLogTap*> live ABSL_GUARDED_BY(mutex);

  static GrpcLogTaps& All() {
    static auto* const taps = new GrpcLogTaps;
    return *taps;
  }

  static void Say(gpr_log_func_args* args) {
    const GrpcLogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR  ? GrpcLogLevel::kError
                               : args->severity == GPR_LOG_SEVERITY_INFO ? GrpcLogLevel::kInfo
                                                                         : GrpcLogLevel::kDebug;
    const std::string line = args->message;
    GrpcLogTaps& taps = All();
    MutexLock lock(&taps.mutex);
    for (const GrpcLogTap* tap : taps.live) tap->write_(level, line);
  }
};

GrpcLogTap::GrpcLogTap(Write write) : write_(std::move(write)) {
  GrpcLogTaps& taps = GrpcLogTaps::All();
  {
    MutexLock lock(&taps.mutex);
    taps.live.insert(this);
  }
  gpr_set_log_function(&GrpcLogTaps::Say);
}

GrpcLogTap::~GrpcLogTap() {
  GrpcLogTaps& taps = GrpcLogTaps::All();
  MutexLock lock(&taps.mutex);
  taps.live.erase(this);
}

}  // namespace fedwatt
