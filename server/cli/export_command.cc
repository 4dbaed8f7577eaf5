#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/scratch_path.h"
#include "server/cli/torch_tool.h"

namespace fedwatt::cli {
namespace {

absl::Status Export(const ExportOptions& options, AdminClient& client) {
  const bool torch = absl::EndsWith(options.output, ".pt");
  if (!torch && !absl::EndsWith(options.output, ".fwb")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--output ", options.output, ": must end with .pt (TorchScript) or .fwb (bundle)"));
  }
  if (!torch) return client.ExportModel(options.job, options.version, options.output, nullptr);
  FW_ASSIGN_OR_RETURN(const ScratchPath bundle, ScratchPath::InTemp(".fwb"));
  FW_RETURN_IF_ERROR(client.ExportModel(options.job, options.version, bundle.path(), nullptr));
  return RunTorchTool(TorchTool(options.torch_tool),
                      {"export", bundle.path(), "-o", options.output});
}

}  // namespace

int ExportModel(const Context& context, const ExportOptions& options) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  if (const absl::Status done = Export(options, **client); !done.ok()) return Fail(context, done);
  const auto size = FileSize(options.output);
  if (!size.ok()) return Fail(context, size.status());
  if (context.json) {
    const nlohmann::json out = {{"path", options.output},
                                {"bytes", *size},
                                {"job", options.job},
                                {"version", options.version}};
    std::cout << out.dump(2) << std::endl;
  } else {
    std::cout << "wrote " << options.output << " (" << HumanBytes(*size) << ")" << std::endl;
  }
  return kOk;
}

}  // namespace fedwatt::cli
