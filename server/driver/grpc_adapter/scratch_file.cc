#include "server/driver/grpc_adapter/scratch_file.h"

#include <atomic>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

std::string ScratchDir(const std::string& data_dir) { return absl::StrCat(data_dir, "/tmp"); }

}  // namespace

absl::StatusOr<std::string> NewScratchPath(const std::string& data_dir, const std::string& what) {
  static std::atomic<uint64_t> next{1};
  FW_RETURN_IF_ERROR(EnsureDir(ScratchDir(data_dir), 0700));
  return absl::StrCat(ScratchDir(data_dir), "/", what, "-", next.fetch_add(1));
}

absl::Status ClearScratch(const std::string& data_dir) {
  FW_RETURN_IF_ERROR(EnsureDir(ScratchDir(data_dir), 0700));
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(ScratchDir(data_dir)));
  for (const std::string& name : names) {
    FW_RETURN_IF_ERROR(RemoveIfExists(absl::StrCat(ScratchDir(data_dir), "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace fedwatt
