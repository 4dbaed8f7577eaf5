#include "client/trainers/torch/script_module.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sys/resource.h>
#include <torch/csrc/jit/api/function_impl.h>

#include <cstring>
#include <mutex>
#include <new>
#include <unordered_set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/trainers/torch/archive_scan.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

// Collects operators from everything that a call into a module may run.
class GraphWalker {
 public:
  explicit GraphWalker(const torch::jit::Module& module) {
    VisitType(module.type());
    for (const torch::jit::Module& submodule : module.modules()) VisitType(submodule.type());
    for (torch::jit::Function* function : module.type()->compilation_unit()->get_functions()) {
      VisitFunction(function);
    }
  }

  std::map<std::string, OperatorUse> Take() && { return std::move(uses_); }

 private:
  void Count(const std::string& op, const std::string& method) {
    OperatorUse& use = uses_[op];
    if (use.count++ == 0) use.method = method;
  }

  void VisitType(const c10::TypePtr& type) {
    if (type == nullptr) return;
    if (const auto cls = type->cast<c10::ClassType>()) {
      VisitClass(cls);
    } else if (const auto function = type->cast<c10::FunctionType>()) {
      VisitFunction(function->function());
    } else if (type->kind() == c10::TypeKind::InterfaceType) {
      Count(absl::StrCat("interface ", type->str()), type->str());
    } else {
      for (const c10::TypePtr& contained : type->containedTypes()) VisitType(contained);
    }
  }

  void VisitClass(const c10::ClassTypePtr& cls) {
    if (!classes_.insert(cls.get()).second) return;
    const std::string name = cls->name() ? cls->name()->qualifiedName() : "(unnamed)";
    if (absl::StrContains(name, "torch.classes")) Count(absl::StrCat("class ", name), name);
    for (torch::jit::Function* method : cls->methods()) VisitFunction(method);
    for (torch::jit::Function* hook : cls->getForwardHooks()) VisitFunction(hook);
    for (torch::jit::Function* hook : cls->getForwardPreHooks()) VisitFunction(hook);
    for (size_t i = 0; i < cls->numAttributes(); ++i) VisitType(cls->getAttribute(i));
  }

  void VisitFunction(torch::jit::Function* function) {
    if (!functions_.insert(function).second) return;
    const std::string name = function->qualname().qualifiedName();
    if (!function->isGraphFunction()) {
      Count(absl::StrCat("function ", name), name);
      return;
    }
    function->ensure_defined();
    VisitBlock(torch::jit::toGraphFunction(*function).graph()->block(), name);
  }

  void VisitBlock(const torch::jit::Block* block, const std::string& method) {
    for (const torch::jit::Value* input : block->inputs()) VisitType(input->type());
    for (const torch::jit::Node* node : block->nodes()) {
      Count(node->kind().toQualString(), method);
      for (const torch::jit::Value* output : node->outputs()) VisitType(output->type());
      for (const auto& name : node->attributeNames()) VisitAttribute(node, name, method);
      for (const torch::jit::Block* nested : node->blocks()) VisitBlock(nested, method);
    }
  }

  void VisitAttribute(const torch::jit::Node* node, c10::Symbol name, const std::string& method) {
    switch (node->kindOf(name)) {
      case torch::jit::AttributeKind::g:
        VisitBlock(node->g(name)->block(), method);
        break;
      case torch::jit::AttributeKind::gs:
        for (const auto& graph : node->gs(name)) VisitBlock(graph->block(), method);
        break;
      case torch::jit::AttributeKind::ty:
        VisitType(node->ty(name));
        break;
      case torch::jit::AttributeKind::tys:
        for (const auto& type : node->tys(name)) VisitType(type);
        break;
      case torch::jit::AttributeKind::ival:
        VisitType(node->ival(name).type());
        break;
      default:
        break;
    }
  }

  std::map<std::string, OperatorUse> uses_;
  std::unordered_set<const c10::ClassType*> classes_;
  std::unordered_set<const torch::jit::Function*> functions_;
};

// "[1, 28, 28]"
std::string ShapeText(at::IntArrayRef shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::string ReadableName(const std::string& qualified) {
  return std::string(absl::StripPrefix(qualified, "__torch__."));
}

// The last line of a TorchScript traceback says what went wrong.
std::string Reason(const std::string& traceback) {
  const std::string message(absl::StripAsciiWhitespace(traceback));
  std::string reason;
  const std::vector<std::string> lines = absl::StrSplit(message, '\n');
  for (const std::string& line : lines) {
    const std::string text(absl::StripAsciiWhitespace(line));
    const size_t error = text.find("Error: ");
    if (error != std::string::npos && text.find(' ') > error) reason = text.substr(error + 7);
  }
  if (reason.empty()) reason = message.substr(0, message.find('\n'));
  return reason.substr(0, bounds::kMaxReasonLength / 2);
}

bool SaysOutOfMemory(const std::string& message) {
  for (const char* phrase : {"can't allocate memory", "not enough memory", "out of memory",
                             "std::bad_alloc", "tried to allocate"}) {
    if (absl::StrContains(message, phrase)) return true;
  }
  return false;
}

std::string AllocationSize(const std::string& message) {
  const std::string marker = "tried to allocate ";
  const size_t at = message.find(marker);
  if (at == std::string::npos) return "";
  uint64_t bytes = 0;
  const std::string digits = message.substr(at + marker.size(), 20);
  if (!absl::SimpleAtoi(digits.substr(0, digits.find_first_not_of("0123456789")), &bytes))
    return "";
  return absl::StrCat(" an allocation of ", HumanBytes(bytes), " (", bytes, " bytes) failed;");
}

std::string LimitText() {
  rlimit limit{};
  for (const auto resource : {RLIMIT_DATA, RLIMIT_AS}) {
    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
      return absl::StrCat("the trainer's memory limit is ", HumanBytes(limit.rlim_cur));
    }
  }
  return "the trainer has no memory limit but the machine's";
}

absl::StatusOr<torch::jit::Module> Deserialise(ByteSpan archive) {
  FW_RETURN_IF_ERROR(ScanArchive(archive));
  return GuardTorch("cannot load the TorchScript module",
                    [&]() -> absl::StatusOr<torch::jit::Module> {
                      return torch::jit::load(MakeArchiveReader(archive), at::Device(at::kCPU));
                    });
}

// Compiles what was not compiled yet, hence can fail.
absl::StatusOr<std::map<std::string, OperatorUse>> OperatorsOf(const torch::jit::Module& module) {
  using Uses = std::map<std::string, OperatorUse>;
  return GuardTorch("cannot compile the TorchScript module",
                    [&]() -> absl::StatusOr<Uses> { return GraphWalker(module).Take(); });
}

}  // namespace

void ConfigureProcess() {
  static std::once_flag once;
  std::call_once(once, [] {
    at::set_num_threads(1);
    try {
      at::set_num_interop_threads(1);
    } catch (const c10::Error&) {
      // A host application has used the pool already; nothing here submits work to it.
    }
    using SetThreads = void (*)(int);
    if (void* set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
      reinterpret_cast<SetThreads>(set)(1);
    }
  });
}

absl::Status StatusFromTorch(const std::exception& error, const std::string& what) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string message =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || SaysOutOfMemory(message)) {
    return absl::ResourceExhaustedError(
        absl::StrCat(what, ": out of memory:", AllocationSize(message), " ", LimitText(),
                     ". Use a smaller model or batch, or raise the limit"));
  }
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", Reason(message)));
}

absl::StatusOr<torch::jit::Module> LoadModule(ByteSpan archive, const OperatorAllowList& allowed) {
  FW_ASSIGN_OR_RETURN(const torch::jit::Module module, Deserialise(archive));
  FW_ASSIGN_OR_RETURN(const auto uses, OperatorsOf(module));
  for (const auto& [op, use] : uses) {
    FW_RETURN_IF_ERROR(allowed.Check(op, ReadableName(use.method)));
  }
  return module;
}

absl::StatusOr<std::map<std::string, OperatorUse>> OperatorsIn(ByteSpan archive) {
  FW_ASSIGN_OR_RETURN(const torch::jit::Module module, Deserialise(archive));
  return OperatorsOf(module);
}

std::vector<NamedTensor> NamedTensors(const torch::jit::Module& module) {
  std::vector<NamedTensor> tensors;
  for (const auto& named : module.named_parameters(true)) {
    tensors.push_back({named.name, named.value, true});
  }
  for (const auto& named : module.named_buffers(true)) {
    tensors.push_back({named.name, named.value, false});
  }
  return tensors;
}

absl::StatusOr<Manifest> ManifestOf(const std::vector<NamedTensor>& tensors) {
  std::vector<TensorSpec> specs;
  std::map<const void*, std::string> by_memory;
  for (const auto& [name, tensor, is_parameter] : tensors) {
    if (is_parameter && tensor.scalar_type() != at::kFloat) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter ", name, " is ", c10::toString(tensor.scalar_type()),
                       "; trainable parameters must be float32: call model.float() before ",
                       "torch.jit.script"));
    }
    const absl::StatusOr<DType> dtype = FromScalarType(tensor.scalar_type());
    if (!dtype.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, ": ", dtype.status().message()));
    }
    if (tensor.numel() > 0) {
      const auto [other, fresh] = by_memory.emplace(tensor.data_ptr(), name);
      if (!fresh) {
        return absl::InvalidArgumentError(absl::StrCat("tensors ", other->second, " and ", name,
                                                       " share memory (tied weights). Keep one of ",
                                                       "them and use it twice in forward"));
      }
    }
    specs.push_back({name, *dtype, tensor.sizes().vec(),
                     is_parameter ? TensorRole::kTrainable : TensorRole::kBuffer});
  }
  return Manifest::Create(std::move(specs));
}

absl::Status CheckAgainstManifest(const std::vector<NamedTensor>& tensors,
                                  const Manifest& manifest) {
  const auto mismatch = [](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("the bundle's module and manifest disagree: ", what,
                     ". Make the bundle again with ", "fedwatt-torch import"));
  };
  if (tensors.size() != manifest.tensors().size()) {
    return mismatch(absl::StrCat("the module has ", tensors.size(), " tensors, the manifest ",
                                 manifest.tensors().size()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = manifest.tensors()[i];
    const auto& [name, tensor, is_parameter] = tensors[i];
    if (name != spec.name) {
      return mismatch(absl::StrCat("tensor ", i, " is ", name, " in the module and ", spec.name,
                                   " in the manifest"));
    }
    if (tensor.scalar_type() != ToScalarType(spec.dtype)) {
      return mismatch(absl::StrCat(name, " is ", c10::toString(tensor.scalar_type()),
                                   " in the module and ", DTypeName(spec.dtype),
                                   " in the manifest"));
    }
    if (tensor.sizes() != at::IntArrayRef(spec.shape)) {
      return mismatch(absl::StrCat(name, " has shape ", ShapeText(tensor.sizes()),
                                   " in the module and ", ShapeText(spec.shape),
                                   " in the manifest"));
    }
    if (is_parameter != (spec.role == TensorRole::kTrainable)) {
      return mismatch(absl::StrCat(name, " is a ", is_parameter ? "parameter" : "buffer",
                                   " in the module only"));
    }
  }
  return absl::OkStatus();
}

at::ScalarType ToScalarType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kI64:
      return at::kLong;
    case DType::kI32:
      return at::kInt;
    case DType::kI16:
      return at::kShort;
    case DType::kI8:
      return at::kChar;
    case DType::kU8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
  }
  return at::ScalarType::Undefined;
}

absl::StatusOr<DType> FromScalarType(at::ScalarType type) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI64,
                            DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    if (ToScalarType(dtype) == type) return dtype;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("dtype ", c10::toString(type), " cannot travel; use float32 or an integer"));
}

bool HasMethod(const torch::jit::Module& module, const std::string& name, size_t arguments) {
  const auto method = module.find_method(name);
  return method.has_value() && method->function().getSchema().arguments().size() == arguments + 1;
}

absl::Status CheckMethods(const torch::jit::Module& module, const BundleHeader& header) {
  if (!HasMethod(module, header.forward_method, 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the module has no method ", header.forward_method,
                     "(x) with one argument. Define it in Python and export again"));
  }
  if (!HasMethod(module, header.loss_method, 2)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the module has no method ", header.loss_method, "(x, y). Add in Python:\n",
                     "    @torch.jit.export\n    def ", header.loss_method, "(self, x, y):\n",
                     "        return torch.nn.functional.cross_entropy(self.forward(x), y, "
                     "reduction=\"none\")\n",
                     "and export with torch.jit.script (torch.jit.trace keeps forward only)"));
  }
  return absl::OkStatus();
}

std::vector<at::Tensor> Materialise(torch::jit::Module& module, const at::Device& device) {
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor, is_parameter] : NamedTensors(module)) {
    at::Tensor handle = tensor;
    if (!handle.is_contiguous()) handle.set_data(handle.contiguous());
    if (handle.device() != device) handle.set_data(handle.to(device));
    tensors.push_back(handle);
  }
  // What is neither parameter nor buffer: tensors in lists.
  if (!device.is_cpu()) module.to(device);
  return tensors;
}

void CopyFromFlat(ByteSpan flat, const Manifest& manifest, size_t index, const at::Tensor& tensor) {
  torch::NoGradGuard no_grad;
  const TensorSpec& spec = manifest.tensors()[index];
  const uint8_t* data = flat.data() + manifest.OffsetBytes(index);
  if (tensor.device().is_cpu() && tensor.is_contiguous()) {
    std::memcpy(tensor.data_ptr(), data, spec.Bytes());
    return;
  }
  // By way of an aligned tensor: flat data of mixed dtypes is not aligned.
  const at::Tensor staged = torch::empty(spec.shape, ToScalarType(spec.dtype));
  std::memcpy(staged.data_ptr(), data, spec.Bytes());
  tensor.copy_(staged);
}

void CopyFromFlat(ByteSpan flat, const Manifest& manifest, const std::vector<at::Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) CopyFromFlat(flat, manifest, i, tensors[i]);
}

void CopyToFlat(const std::vector<at::Tensor>& tensors, const Manifest& manifest, uint8_t* flat) {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor host = tensors[i].detach().cpu().contiguous();
    std::memcpy(flat + manifest.OffsetBytes(i), host.data_ptr(), manifest.tensors()[i].Bytes());
  }
}

}  // namespace fedwatt::torch_internal
