#include "common/transport/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"

namespace fedwatt {

void RouteGrpcLog() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    LogDebug("grpc", {{"text", line->message}, {"at", absl::StrCat(line->file, ":", line->line)}});
  });
}

}  // namespace fedwatt
