#include "client/sdk/model_assembly.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/codec/model_step.h"

namespace fedwatt {
namespace {

constexpr char kBaseName[] = "the model that they start from";
constexpr size_t kHashDigits = 8;

absl::StatusOr<MappedFile> OpenVerified(const std::string& what, const std::string& path,
                                        const Digest& sha256) {
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) return Annotate(file.status(), what);
  const Digest actual = Sha256Of(file->bytes());
  if (actual == sha256) return file;
  return absl::DataLossError(absl::StrCat(what, " has SHA-256 ", DigestHex(actual), ", expected ",
                                          DigestHex(sha256), "; it was altered or damaged"));
}

absl::Status ApplyAll(const ModelAssembly& assembly, const ModelBuilder::Sink& sink,
                      ModelBuilder* builder) {
  for (size_t i = 0; i < assembly.payloads.size(); ++i) {
    const std::string what = absl::StrCat("step ", i + 1, " of ", assembly.payloads.size());
    const ModelAssembly::Payload& payload = assembly.payloads[i];
    FW_ASSIGN_OR_RETURN(const MappedFile file, OpenVerified(what, payload.path, payload.sha256));
    const bool last = i + 1 == assembly.payloads.size();
    const absl::Status applied =
        last ? builder->Stream(file.bytes(), sink) : builder->Apply(file.bytes());
    if (!applied.ok()) return Annotate(applied, what);
  }
  return absl::OkStatus();
}

absl::Status WriteModel(const ModelAssembly& assembly, ModelBuilder* builder) {
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(assembly.temporary_path, 0600));
  Sha256 hash;
  const auto write = [&](ByteSpan bytes) {
    hash.Update(bytes);
    return file.Append(bytes);
  };
  FW_RETURN_IF_ERROR(ApplyAll(assembly, write, builder));
  FW_RETURN_IF_ERROR(file.Close());
  const Digest actual = hash.Finish();
  if (actual == assembly.model) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("they lead to the model ", DigestHex(actual),
                                                    ", not to ", DigestHex(assembly.model)));
}

// The base is not hashed: a result that has its hash came from the right one.
absl::Status Assemble(const ModelAssembly& assembly, const Manifest& manifest,
                      const UpdateLayout& layout) {
  FW_ASSIGN_OR_RETURN(ModelBuilder builder, ModelBuilder::Create(&manifest, &layout));
  MappedFile base;
  if (!assembly.base_path.empty()) {
    absl::StatusOr<MappedFile> opened = MappedFile::Open(assembly.base_path);
    if (!opened.ok()) return Annotate(opened.status(), kBaseName);
    base = *std::move(opened);
    FW_RETURN_IF_ERROR(builder.StartFrom(base.bytes()));
  }
  absl::Status written = WriteModel(assembly, &builder);
  if (written.ok()) return RenameFile(assembly.temporary_path, assembly.model_path);
  (void)RemoveIfExists(assembly.temporary_path);
  return written;
}

}  // namespace

absl::Status CheckSteps(const Assignment& assignment) {
  Digest at{};
  for (size_t i = 0; i < assignment.model_steps.size(); ++i) {
    const ModelStep& step = assignment.model_steps[i];
    if (i > 0 && step.base != Digest{} && step.base != at) {
      return absl::InvalidArgumentError(absl::StrCat("step ", i + 1, " starts from ",
                                                     DigestHex(step.base),
                                                     ", the one before it "
                                                     "leads to ",
                                                     DigestHex(at)));
    }
    at = step.result;
  }
  if (at == assignment.model.sha256) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("they lead to the model ", DigestHex(at),
                                                 ", not to ", DigestHex(assignment.model.sha256)));
}

uint64_t StepBytes(const Assignment& assignment) {
  uint64_t bytes = 0;
  for (const ModelStep& step : assignment.model_steps) bytes += step.payload.size;
  return bytes;
}

std::string DescribeSteps(const Assignment& assignment) {
  const std::vector<ModelStep>& steps = assignment.model_steps;
  const std::string count = steps.size() == 1 ? "step" : absl::StrCat(steps.size(), " steps");
  const bool whole = steps.empty() || steps.front().base == Digest{};
  return absl::StrCat(
      whole ? (steps.size() > 1 ? absl::StrCat("coded model and ", steps.size() - 1, " steps")
                                : "coded model")
            : absl::StrCat(count, " from ", DigestHex(steps.front().base).substr(0, kHashDigits)),
      ": ", HumanBytes(StepBytes(assignment)), " instead of ", HumanBytes(assignment.model.size));
}

AssemblyResult AssembleModel(const ModelAssembly& assembly, const Manifest& manifest,
                             const UpdateLayout& layout) {
  const absl::Status status = Assemble(assembly, manifest, layout);
  if (status.ok() || assembly.base_path.empty()) return {status};
  const absl::Status base = OpenVerified(kBaseName, assembly.base_path, assembly.base).status();
  if (absl::IsDataLoss(base)) return {base, true};
  return {status};
}

}  // namespace fedwatt
