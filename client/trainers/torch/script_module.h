#pragma once

// Internal: the one header of this folder with LibTorch types. Included only by the LibTorch
// translation units (each costs 40 s to compile).

#include <torch/script.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/trainers/torch/operator_allow_list.h"
#include "common/base/bytes.h"
#include "common/model/bundle_header.h"
#include "common/model/manifest.h"

namespace fedwatt::torch_internal {

// Process-wide settings that make results depend on inputs alone: one intra-op, one inter-op and
// one OpenBLAS thread. Idempotent.
void ConfigureProcess();

// Runs `body`, which returns absl::Status or StatusOr, and turns LibTorch's exceptions into one
// line: "<what>: <reason>". RESOURCE_EXHAUSTED when memory ran out, with the size asked for and
// this process's limit; else INVALID_ARGUMENT.
absl::Status StatusFromTorch(const std::exception& error, const std::string& what);

template <typename Body>
auto GuardTorch(const std::string& what, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& error) {
    return StatusFromTorch(error, what);
  }
}

// Scans, deserialises on the CPU, and checks every graph that the module can reach.
absl::StatusOr<torch::jit::Module> LoadModule(ByteSpan archive, const OperatorAllowList& allowed);

struct OperatorUse {
  uint64_t count = 0;
  std::string method;  // one that contains it
};

// Every operator in every function that the archive's module can reach (methods, submodules, free
// functions, closures and nested blocks), plus "class <name>" and "interface <name>" for types that
// a graph check cannot see through. Deserialises, but runs nothing.
absl::StatusOr<std::map<std::string, OperatorUse>> OperatorsIn(ByteSpan archive);

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  bool is_parameter = false;
};

// Parameters, then buffers, in the module's order: the order of bundle manifests.
std::vector<NamedTensor> NamedTensors(const torch::jit::Module& module);

// The manifest of a module. INVALID_ARGUMENT names the tensor: a parameter that is not float32, an
// unsupported dtype, two names for one tensor.
absl::StatusOr<Manifest> ManifestOf(const std::vector<NamedTensor>& tensors);

// INVALID_ARGUMENT names the first tensor that differs from `manifest` in name, dtype, shape, role
// or order.
absl::Status CheckAgainstManifest(const std::vector<NamedTensor>& tensors,
                                  const Manifest& manifest);

at::ScalarType ToScalarType(DType dtype);
absl::StatusOr<DType> FromScalarType(at::ScalarType type);

// Methods take (self, args...). INVALID_ARGUMENT says what to write in Python.
absl::Status CheckMethods(const torch::jit::Module& module, const BundleHeader& header);

// Whether the module has a method with that many arguments after self.
bool HasMethod(const torch::jit::Module& module, const std::string& name, size_t arguments);

// Gives every parameter and buffer dense memory on `device` (archives in bundles hold zero-stride
// placeholders) and returns them in manifest order.
std::vector<at::Tensor> Materialise(torch::jit::Module& module, const at::Device& device);

// Copies tensor `index` of flat data in manifest order into `tensor`, or all of them.
void CopyFromFlat(ByteSpan flat, const Manifest& manifest, size_t index, const at::Tensor& tensor);
void CopyFromFlat(ByteSpan flat, const Manifest& manifest, const std::vector<at::Tensor>& tensors);
void CopyToFlat(const std::vector<at::Tensor>& tensors, const Manifest& manifest, uint8_t* flat);

}  // namespace fedwatt::torch_internal
