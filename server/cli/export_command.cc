#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <iostream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "nlohmann/json.hpp"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/scratch_path.h"

namespace fedwatt::cli {
namespace {

// The tool that knows TorchScript: as told, beside this program, or in PATH.
std::string TorchTool(const std::string& told) {
  if (!told.empty()) return told;
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  if (length > 0) {
    const std::string beside =
        DirName(std::string(self, static_cast<size_t>(length))) + "/fedwatt-torch";
    if (FileExists(beside)) return beside;
  }
  return "fedwatt-torch";
}

absl::Status ToTorchScript(const std::string& tool, const std::string& bundle,
                           const std::string& output) {
  SubprocessOptions options;
  options.argv = {tool, "export", bundle, "-o", output};
  const int silence = open("/dev/null", O_WRONLY | O_CLOEXEC);  // one fact, one line: ours
  const absl::Cleanup closer = [silence] { close(silence); };
  if (silence >= 0) options.fds = {{silence, STDOUT_FILENO}};
  FW_ASSIGN_OR_RETURN(Subprocess child, Subprocess::Spawn(options));
  FW_ASSIGN_OR_RETURN(const ExitStatus exit, child.Wait(-1));
  if (exit.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("`", tool, " export` failed with ", exit.ToString()));
}

absl::Status Export(const ExportOptions& options, AdminClient& client) {
  const bool torch = absl::EndsWith(options.output, ".pt");
  if (!torch && !absl::EndsWith(options.output, ".fwb")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--output ", options.output, ": must end with .pt (TorchScript) or .fwb (bundle)"));
  }
  if (!torch) return client.ExportModel(options.job, options.version, options.output, nullptr);
  FW_ASSIGN_OR_RETURN(const ScratchPath bundle, ScratchPath::InTemp(".fwb"));
  FW_RETURN_IF_ERROR(client.ExportModel(options.job, options.version, bundle.path(), nullptr));
  return ToTorchScript(TorchTool(options.torch_tool), bundle.path(), options.output);
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
