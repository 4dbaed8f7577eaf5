#include "client/sdk/small_file.h"

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxBytes = 64 * 1024;
constexpr size_t kHashDigits = 64;

}  // namespace

std::string SmallFileContent(const std::string& text) {
  return absl::StrCat(Sha256Hex(AsBytes(text)), "\n", text);
}

absl::Status WriteSmallFile(const std::string& path, const std::string& text) {
  const std::string temporary = absl::StrCat(path, ".new");
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(temporary, 0600));
  FW_RETURN_IF_ERROR(file.Append(AsBytes(SmallFileContent(text))));
  FW_RETURN_IF_ERROR(file.Close());
  return RenameFile(temporary, path);
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxBytes));
  if (content.size() > kHashDigits && content[kHashDigits] == '\n') {
    std::string text = content.substr(kHashDigits + 1);
    if (Sha256Hex(AsBytes(text)) == content.substr(0, kHashDigits)) return text;
  }
  return absl::DataLossError(absl::StrCat(path, " does not match its own hash"));
}

}  // namespace fedwatt
