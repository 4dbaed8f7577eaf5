#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// A codec and its parameters as people write them: "eden:bits=2,mode=lloyd_max". The same text
// stands in job files, in assignments, in the log and in the headers of coded models.
namespace fedwatt {

struct CodecSpec {
  std::string name;
  std::map<std::string, std::string> params;

  // INVALID_ARGUMENT: not of the form name[:key=value,...], or a key twice.
  static absl::StatusOr<CodecSpec> Parse(const std::string& text);
  // Parameters by name; what Parse reads.
  std::string ToString() const;

  bool operator==(const CodecSpec&) const = default;
};

// Reads a codec's parameters: Number, Integer and Word for each that there is, then Finish, which
// refuses the others. All errors are INVALID_ARGUMENT and name codec, parameter, value and limits.
class CodecParams {
 public:
  explicit CodecParams(const CodecSpec& spec) : spec_(spec) {}

  absl::StatusOr<double> Number(const std::string& key, double fallback, double min, double max);
  absl::StatusOr<int> Integer(const std::string& key, int fallback, int min, int max);
  absl::StatusOr<std::string> Word(const std::string& key, const std::string& fallback,
                                   std::span<const char* const> allowed);
  absl::Status Finish() const;

 private:
  const CodecSpec& spec_;
  std::set<std::string> known_;
};

}  // namespace fedwatt
