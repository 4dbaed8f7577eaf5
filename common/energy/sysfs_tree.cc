#include "common/energy/sysfs_tree.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

constexpr uint64_t kMaxBytes = 4096;  // a page: sysfs shows no more
constexpr size_t kMaxQuoted = 40;

}  // namespace

SysfsTree::SysfsTree(std::string root, ReadFileFn read_file)
    : root_(std::move(root)), read_file_(std::move(read_file)) {
  if (root_.empty() || root_.back() != '/') root_ += '/';
  if (!read_file_) {
    read_file_ = [](const std::string& path) { return ReadFile(path, kMaxBytes); };
  }
}

std::string SysfsTree::Absolute(const std::string& path) const { return root_ + path; }

bool SysfsTree::Exists(const std::string& path) const { return FileExists(Absolute(path)); }

absl::StatusOr<std::vector<std::string>> SysfsTree::List(const std::string& path) const {
  return ListDir(Absolute(path));
}

absl::StatusOr<std::string> SysfsTree::Text(const std::string& path) const {
  FW_ASSIGN_OR_RETURN(const std::string text, read_file_(Absolute(path)));
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::StatusOr<int64_t> SysfsTree::Integer(const std::string& path) const {
  FW_ASSIGN_OR_RETURN(const std::string text, Text(path));
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::DataLossError(absl::StrCat(Absolute(path), " holds '", text.substr(0, kMaxQuoted),
                                            "', not an integer that fits 64 bits"));
  }
  return value;
}

absl::StatusOr<int64_t> SysfsTree::Count(const std::string& path) const {
  FW_ASSIGN_OR_RETURN(const int64_t value, Integer(path));
  if (value < 0) {
    return absl::DataLossError(
        absl::StrCat(Absolute(path), " holds ", value, ", which cannot be negative"));
  }
  return value;
}

}  // namespace fedwatt
