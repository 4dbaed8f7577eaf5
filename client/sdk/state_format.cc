#include "client/sdk/state_format.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxBytes = 64;

}  // namespace

absl::Status CheckStateFormat(const std::string& state_dir, const AssignmentStore& store) {
  const std::string path = absl::StrCat(state_dir, "/format");
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxBytes);
  int format = 0;
  if (text.ok() && absl::SimpleAtoi(*text, &format) && format > 0) {
    if (format <= kStateFormat) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "the state folder ", state_dir, " has format ", format, ", this version reads ",
        kStateFormat, "; update the app, or give it another folder"));
  }
  return store.WritePath(path, absl::StrCat(kStateFormat, "\n"));
}

}  // namespace fedwatt
