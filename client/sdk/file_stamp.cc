#include "client/sdk/file_stamp.h"

#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {

absl::StatusOr<FileStamp> FileStamp::Of(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const FileInfo info, InspectFile(path));
  return FileStamp{.device = info.device,
                   .inode = info.inode,
                   .bytes = info.bytes,
                   .modified_ns = info.modified_ns,
                   .changed_ns = info.changed_ns};
}

}  // namespace fedwatt
