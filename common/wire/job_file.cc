#include "common/wire/job_file.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/wire/job_wire.h"
#include "common/wire/message_json.h"
#include "common/wire/toml_schema.h"
#include "google/protobuf/util/json_util.h"

extern char** environ;

namespace fedwatt {
namespace {

constexpr char kVariablePrefix[] = "FEDWATT_JOB__";

absl::Status ApplyEnvironment(const std::vector<std::string>& entries, wire::SchemaDocument* doc) {
  for (const std::string& entry : entries) {
    if (!absl::StartsWith(entry, kVariablePrefix)) continue;
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    const std::string variable = entry.substr(0, equals);
    const std::string key = absl::AsciiStrToLower(
        absl::StrReplaceAll(variable.substr(sizeof(kVariablePrefix) - 1), {{"__", "."}}));
    FW_RETURN_IF_ERROR(wire::SetByText(key, entry.substr(equals + 1),
                                       absl::StrCat("environment variable ", variable),
                                       *v1::JobSpec::descriptor(), doc));
  }
  return absl::OkStatus();
}

absl::Status ApplySet(const std::vector<std::string>& entries, wire::SchemaDocument* doc) {
  for (const std::string& entry : entries) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--set ", entry, ": must be key=value, e.g. --set round.goal=8"));
    }
    FW_RETURN_IF_ERROR(wire::SetByText(entry.substr(0, equals), entry.substr(equals + 1),
                                       absl::StrCat("--set ", entry), *v1::JobSpec::descriptor(),
                                       doc));
  }
  return absl::OkStatus();
}

// Validation knows keys, not places: the key that the message begins with tells the place.
absl::Status Placed(const absl::Status& status, const std::string& source,
                    const wire::SchemaDocument& doc) {
  const std::string message(status.message());
  const size_t end = message.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.");
  std::string key = message.substr(0, end);
  while (!key.empty() && key.back() == '.') key.pop_back();
  const auto origin = doc.origins.find(key);
  return Annotate(status, origin == doc.origins.end() ? source : origin->second);
}

absl::StatusOr<JobSpec> Parse(const std::string& text, const std::string& source,
                              const JobOverrides& overrides, wire::SchemaDocument* doc) {
  FW_RETURN_IF_ERROR(wire::ReadToml(text, source, *v1::JobSpec::descriptor(), doc));
  FW_RETURN_IF_ERROR(ApplyEnvironment(overrides.environment, doc));
  FW_RETURN_IF_ERROR(ApplySet(overrides.set, doc));
  v1::JobSpec message;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      doc->json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), &message);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": ", std::string(parsed.message().data(), parsed.message().size())));
  }
  absl::StatusOr<JobSpec> spec = wire::FromProto(message);
  if (!spec.ok()) return Placed(spec.status(), source, *doc);
  return spec;
}

}  // namespace

std::vector<std::string> JobEnvironment() {
  std::vector<std::string> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (absl::StartsWith(*entry, kVariablePrefix)) found.emplace_back(*entry);
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::StatusOr<JobSpec> ParseJobText(const std::string& text, const std::string& source,
                                     const JobOverrides& overrides) {
  wire::SchemaDocument doc;
  return Parse(text, source, overrides, &doc);
}

absl::StatusOr<JobSpec> LoadJobFile(const std::string& path, const JobOverrides& overrides) {
  FW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, bounds::kMaxConfigBytes));
  wire::SchemaDocument doc;
  FW_ASSIGN_OR_RETURN(JobSpec spec, Parse(text, path, overrides, &doc));
  const auto origin = doc.origins.find("model.bundle");
  const bool from_file =
      origin != doc.origins.end() && absl::StartsWith(origin->second, absl::StrCat(path, ":"));
  if (from_file && !spec.model.bundle.empty() && spec.model.bundle[0] != '/') {
    const std::string folder = DirName(path);
    if (folder != ".") spec.model.bundle = absl::StrCat(folder, "/", spec.model.bundle);
  }
  return spec;
}

std::string JobSpecToJson(const JobSpec& spec) {
  v1::JobSpec message;
  wire::ToProto(spec, &message);
  return wire::MessageToJson(message);
}

}  // namespace fedwatt
