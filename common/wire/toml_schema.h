#pragma once

// TOML read beside a protobuf descriptor: what protobuf's JSON reader could only call "invalid
// name" is refused here with its place, the nearest known key, or the expected type. Internal to
// common/wire.

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "nlohmann/json.hpp"

namespace fedwatt::wire {

// Values in the form that protobuf's JSON reader takes, and where each came from.
struct SchemaDocument {
  nlohmann::json json = nlohmann::json::object();
  std::map<std::string, std::string> origins;  // "round.goal" -> "job.toml:12:8" or "--set ..."
};

// Adds what `text` says, named `source` in errors.
absl::Status ReadToml(std::string_view text, const std::string& source,
                      const google::protobuf::Descriptor& schema, SchemaDocument* out);

// Sets the value at the dotted `key`, as written on a command line: TOML by the field's type,
// strings and enum words also without quotes, lists also as a,b,c. `origin` names it in errors.
absl::Status SetByText(const std::string& key, const std::string& value, const std::string& origin,
                       const google::protobuf::Descriptor& schema, SchemaDocument* out);

}  // namespace fedwatt::wire
