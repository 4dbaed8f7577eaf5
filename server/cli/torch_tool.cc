#include "server/cli/torch_tool.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"

namespace fedwatt::cli {

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

absl::Status RunTorchTool(const std::string& tool, const std::vector<std::string>& arguments) {
  SubprocessOptions options;
  options.argv = {tool};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  const int silence = open("/dev/null", O_WRONLY | O_CLOEXEC);  // one fact, one line: ours
  const absl::Cleanup closer = [silence] { close(silence); };
  if (silence >= 0) options.fds = {{silence, STDOUT_FILENO}};
  FW_ASSIGN_OR_RETURN(Subprocess child, Subprocess::Spawn(options));
  FW_ASSIGN_OR_RETURN(const ExitStatus exit, child.Wait(-1));
  if (exit.ok()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("`", tool, " ", arguments.front(), "` failed with ", exit.ToString()));
}

}  // namespace fedwatt::cli
