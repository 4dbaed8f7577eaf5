#include "common/wire/model_wire.h"

#include <utility>
#include <vector>

#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"
#include "common/wire/message_checks.h"

namespace fedwatt::wire {
namespace {

static_assert(static_cast<int>(DType::kF32) == v1::DTYPE_F32 &&
              static_cast<int>(DType::kF16) == v1::DTYPE_F16 &&
              static_cast<int>(DType::kI64) == v1::DTYPE_I64 &&
              static_cast<int>(DType::kBool) == v1::DTYPE_BOOL);
static_assert(static_cast<int>(TensorRole::kTrainable) == v1::TENSOR_ROLE_TRAINABLE &&
              static_cast<int>(TensorRole::kBuffer) == v1::TENSOR_ROLE_BUFFER);
static_assert(static_cast<int>(ModelTask::kClassification) == v1::TASK_CLASSIFICATION &&
              static_cast<int>(ModelTask::kRegression) == v1::TASK_REGRESSION);

constexpr uint32_t kBundleFormatVersion = 1;
constexpr size_t kMaxArtifacts = 16;
constexpr size_t kMaxSignatures = 16;
constexpr size_t kMaxDescription = 64 * 1024;
constexpr size_t kSignatureBytes = 64;
constexpr int64_t kMaxInputDim = int64_t{1} << 31;

absl::Status CheckInputShape(const std::vector<int64_t>& shape) {
  FW_RETURN_IF_ERROR(
      CheckCount("number of entries in input_shape", shape.size(), 0, bounds::kMaxDims));
  for (const int64_t dim : shape) {
    FW_RETURN_IF_ERROR(CheckSigned("input_shape", dim, 0, kMaxInputDim));
  }
  return absl::OkStatus();
}

}  // namespace

void ToProto(const Manifest& manifest, v1::Manifest* out) {
  out->mutable_tensors()->Reserve(static_cast<int>(manifest.tensors().size()));
  for (const TensorSpec& spec : manifest.tensors()) {
    v1::TensorSpec* tensor = out->add_tensors();
    tensor->set_name(spec.name);
    tensor->set_dtype(static_cast<v1::DType>(spec.dtype));
    tensor->mutable_shape()->Assign(spec.shape.begin(), spec.shape.end());
    tensor->set_role(static_cast<v1::TensorRole>(spec.role));
  }
}

absl::StatusOr<Manifest> FromProto(const v1::Manifest& in) {
  FW_RETURN_IF_ERROR(CheckCount("number of tensors", static_cast<uint64_t>(in.tensors_size()), 0,
                                bounds::kMaxTensors));
  std::vector<TensorSpec> tensors;
  tensors.reserve(static_cast<size_t>(in.tensors_size()));
  for (const v1::TensorSpec& tensor : in.tensors()) {
    TensorSpec spec;
    spec.name = tensor.name();
    FW_RETURN_IF_ERROR(EnumFrom("tensor dtype", tensor.dtype(), DType::kBool, &spec.dtype));
    FW_RETURN_IF_ERROR(EnumFrom("tensor role", tensor.role(), TensorRole::kBuffer, &spec.role));
    FW_RETURN_IF_ERROR(CheckCount("dimensions of a tensor",
                                  static_cast<uint64_t>(tensor.shape_size()), 0, bounds::kMaxDims));
    spec.shape.assign(tensor.shape().begin(), tensor.shape().end());
    tensors.push_back(std::move(spec));
  }
  return Manifest::Create(std::move(tensors));
}

void ToProto(const Artifact& artifact, v1::Artifact* out) {
  out->set_format(artifact.format);
  out->set_version(artifact.version);
  DigestTo(artifact.sha256, out->mutable_sha256());
  out->set_size(artifact.size);
  out->set_offset(artifact.offset);
}

absl::StatusOr<Artifact> FromProto(const v1::Artifact& in) {
  Artifact artifact;
  artifact.format = in.format();
  artifact.version = in.version();
  artifact.size = in.size();
  artifact.offset = in.offset();
  FW_RETURN_IF_ERROR(CheckText("artifact.format", artifact.format, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(CheckText("artifact.version", artifact.version, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(DigestFrom("artifact.sha256", in.sha256(), &artifact.sha256));
  FW_RETURN_IF_ERROR(CheckCount("artifact.size", artifact.size, 0, bounds::kMaxBlobBytes));
  FW_RETURN_IF_ERROR(CheckCount("artifact.offset", artifact.offset, 0, bounds::kMaxBlobBytes));
  if (artifact.size > 0 && in.sha256().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("artifact \"", artifact.format, "\" of ",
                                                   artifact.size, " bytes has no hash"));
  }
  return artifact;
}

void ToProto(const BundleHeader& header, v1::BundleHeader* out) {
  out->set_format_version(kBundleFormatVersion);
  out->set_name(header.name);
  out->set_description(header.description);
  out->set_task(static_cast<v1::Task>(header.task));
  for (const Artifact& artifact : header.artifacts) ToProto(artifact, out->add_artifacts());
  ToProto(header.manifest, out->mutable_manifest());
  out->set_forward_method(header.forward_method);
  out->set_loss_method(header.loss_method);
  out->mutable_input_shape()->Assign(header.input_shape.begin(), header.input_shape.end());
  out->set_input_dtype(static_cast<v1::DType>(header.input_dtype));
  out->set_parameters(header.manifest.TrainableElements());
}

absl::StatusOr<BundleHeader> FromProto(const v1::BundleHeader& in) {
  if (in.format_version() > kBundleFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("bundle format_version = ", in.format_version(), ": this version reads up to ",
                     kBundleFormatVersion, "; upgrade fedwatt"));
  }
  FW_RETURN_IF_ERROR(CheckCount("format_version", in.format_version(), kBundleFormatVersion,
                                kBundleFormatVersion));
  BundleHeader header;
  header.name = in.name();
  header.description = in.description();
  header.forward_method = in.forward_method();
  header.loss_method = in.loss_method();
  header.input_shape.assign(in.input_shape().begin(), in.input_shape().end());
  FW_RETURN_IF_ERROR(CheckName("bundle name", header.name, bounds::kMaxNameLength));
  if (header.description.size() > kMaxDescription) {
    return absl::InvalidArgumentError(absl::StrCat("bundle description has ",
                                                   header.description.size(),
                                                   " bytes, must have at most ", kMaxDescription));
  }
  FW_RETURN_IF_ERROR(EnumFrom("task", in.task(), ModelTask::kRegression, &header.task));
  FW_RETURN_IF_ERROR(CheckCount("number of artifacts", static_cast<uint64_t>(in.artifacts_size()),
                                0, kMaxArtifacts));
  for (const v1::Artifact& artifact : in.artifacts()) {
    FW_ASSIGN_OR_RETURN(Artifact checked, FromProto(artifact));
    header.artifacts.push_back(std::move(checked));
  }
  FW_ASSIGN_OR_RETURN(header.manifest, FromProto(in.manifest()));
  FW_RETURN_IF_ERROR(CheckToken("forward_method", header.forward_method));
  FW_RETURN_IF_ERROR(CheckToken("loss_method", header.loss_method));
  FW_RETURN_IF_ERROR(CheckInputShape(header.input_shape));
  FW_RETURN_IF_ERROR(EnumFrom("input_dtype", in.input_dtype(), DType::kBool, &header.input_dtype));
  return header;
}

void ToProto(const SignedBundleHeader& header, v1::SignedBundleHeader* out) {
  out->set_header(header.header);
  for (const SignedBundleHeader::Entry& entry : header.signatures) {
    v1::Signature* signature = out->add_signatures();
    signature->set_key_id(entry.key_id);
    signature->set_ed25519(entry.signature);
  }
  ToProto(header.tensors, out->mutable_tensors());
}

absl::StatusOr<SignedBundleHeader> FromProto(const v1::SignedBundleHeader& in) {
  SignedBundleHeader header;
  FW_RETURN_IF_ERROR(CheckCount("number of signatures", static_cast<uint64_t>(in.signatures_size()),
                                0, kMaxSignatures));
  for (const v1::Signature& signature : in.signatures()) {
    FW_RETURN_IF_ERROR(CheckName("signature key_id", signature.key_id(), bounds::kMaxNameLength));
    if (signature.ed25519().size() != kSignatureBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the signature by key ", signature.key_id(),
                                                     " has ", signature.ed25519().size(),
                                                     " bytes: Ed25519's have ", kSignatureBytes));
    }
    header.signatures.push_back({signature.key_id(), signature.ed25519()});
  }
  FW_ASSIGN_OR_RETURN(header.tensors, FromProto(in.tensors()));
  header.header = in.header();
  return header;
}

void ToProto(const Resource& resource, v1::Resource* out) {
  if (!resource.inline_data.empty()) {
    out->set_inline_data(resource.inline_data);
  } else if (!resource.uri.empty()) {
    out->set_uri(resource.uri);
  }
  DigestTo(resource.sha256, out->mutable_sha256());
  out->set_size(resource.size);
}

absl::StatusOr<Resource> FromProto(const v1::Resource& in) {
  Resource resource;
  resource.size = in.size();
  FW_RETURN_IF_ERROR(CheckCount("resource.size", resource.size, 0, bounds::kMaxBlobBytes));
  FW_RETURN_IF_ERROR(DigestFrom("resource.sha256", in.sha256(), &resource.sha256));
  if (resource.size > 0 && in.sha256().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a resource of ", resource.size, " bytes has no sha256"));
  }
  FW_RETURN_IF_ERROR(CheckText("resource.uri", in.uri(), kMaxUriLength));
  resource.uri = in.uri();
  if (in.inline_data().empty()) return resource;
  FW_RETURN_IF_ERROR(CheckCount("bytes of resource.inline_data", in.inline_data().size(), 0,
                                bounds::kMaxInlineBytes));
  if (in.inline_data().size() != resource.size) {
    return absl::InvalidArgumentError(absl::StrCat("resource.inline_data has ",
                                                   in.inline_data().size(),
                                                   " bytes, resource.size says ", resource.size));
  }
  if (Sha256Of(AsBytes(in.inline_data())) != resource.sha256) {
    return absl::InvalidArgumentError(
        "resource.inline_data does not have the declared sha256: altered on its way; send it "
        "again");
  }
  resource.inline_data = in.inline_data();
  return resource;
}

void ToProto(const ModelRef& ref, v1::ModelRef* out) {
  out->set_model(ref.model);
  out->set_version(ref.version);
  DigestTo(ref.sha256, out->mutable_sha256());
  DigestTo(ref.parent, out->mutable_parent());
  out->set_job(ref.job);
  out->set_arm(ref.arm);
}

absl::StatusOr<ModelRef> FromProto(const v1::ModelRef& in) {
  ModelRef ref;
  ref.model = in.model();
  ref.version = in.version();
  ref.job = in.job();
  ref.arm = in.arm();
  FW_RETURN_IF_ERROR(CheckText("model", ref.model, bounds::kMaxNameLength));
  FW_RETURN_IF_ERROR(DigestFrom("model sha256", in.sha256(), &ref.sha256));
  FW_RETURN_IF_ERROR(DigestFrom("model parent", in.parent(), &ref.parent));
  FW_RETURN_IF_ERROR(CheckText("model job", ref.job, bounds::kMaxIdLength));
  FW_RETURN_IF_ERROR(CheckText("model arm", ref.arm, bounds::kMaxNameLength));
  return ref;
}

}  // namespace fedwatt::wire
