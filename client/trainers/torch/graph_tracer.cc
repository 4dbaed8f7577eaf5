#include "client/trainers/torch/graph_tracer.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/trainers/torch/script_module.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt::torch_internal {
namespace {

// A walk is short; what is longer loops for the sake of it.
constexpr size_t kMaxNodes = 200'000;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxListed = 4096;    // elements of a list of numbers
constexpr size_t kMaxText = 64 << 10;  // of a string

// Operators of the language that are computed when all they take is known. None of them makes
// more than its arguments hold: list * number is looked at apart.
const std::set<std::string>& Computable() {
  static const std::set<std::string> kNames = {"aten::add",
                                               "aten::sub",
                                               "aten::mul",
                                               "aten::div",
                                               "aten::floordiv",
                                               "aten::remainder",
                                               "aten::neg",
                                               "aten::eq",
                                               "aten::ne",
                                               "aten::lt",
                                               "aten::le",
                                               "aten::gt",
                                               "aten::ge",
                                               "aten::__and__",
                                               "aten::__or__",
                                               "aten::__not__",
                                               "aten::__is__",
                                               "aten::__isnot__",
                                               "aten::__contains__",
                                               "aten::__getitem__",
                                               "aten::len",
                                               "aten::Int",
                                               "aten::Float",
                                               "aten::Bool",
                                               "aten::ceil",
                                               "aten::floor",
                                               "aten::append",
                                               "aten::format",
                                               "aten::slice",
                                               "prim::min",
                                               "prim::max",
                                               "prim::abs",
                                               "prim::TupleIndex",

                                               "aten::__range_length",
                                               "aten::__derive_index",
                                               "prim::TupleSlice",
                                               "aten::list"};
  return kNames;
}

bool IsSmall(const c10::IValue& value) {
  if (value.isString()) return value.toStringRef().size() <= kMaxText;
  if (value.isList()) return value.toListRef().size() <= kMaxListed;
  return !value.isTensor();
}

bool Multiplies(const c10::IValue& value) { return value.isString() || value.isList(); }

}  // namespace

Symbol Symbol::Constant(c10::IValue value) {
  Symbol symbol;
  symbol.constant = std::move(value);
  return symbol;
}

Symbol Symbol::Of(std::shared_ptr<TracedValue> value) {
  Symbol symbol;
  symbol.kind = Kind::kValue;
  symbol.value = std::move(value);
  return symbol;
}

BatchShape DropOnes(const BatchShape& shape) {
  BatchShape left;
  for (const int64_t dim : shape) {
    if (dim != 1) left.push_back(dim);
  }
  return left;
}

bool ChangesInPlace(const torch::jit::Node* node) {
  const std::string name = node->kind().toUnqualString();
  return name.back() == '_' && !name.starts_with("__");
}

std::string PlainName(const torch::jit::Node* node) {
  std::string name = node->kind().toUnqualString();
  if (ChangesInPlace(node)) name.pop_back();
  return name;
}

GraphTracer::GraphTracer(const torch::jit::Module& module, const Manifest& manifest,
                         const Mode& mode)
    : module_(module), manifest_(manifest), mode_(mode) {
  uint32_t index = 0;
  for (const NamedTensor& named : NamedTensors(module)) {
    tensor_index_[named.tensor.unsafeGetTensorImpl()] = index++;
  }
}

Symbol GraphTracer::Input(const std::vector<int64_t>& shape) {
  auto value = std::make_shared<TracedValue>();
  value->shape = {mode_.batch};
  value->shape.insert(value->shape.end(), shape.begin(), shape.end());
  shapes_ = {value->shape};
  layers_.clear();
  return Symbol::Of(std::move(value));
}

Symbol GraphTracer::Target(BatchShape shape) {
  Symbol symbol;
  symbol.kind = Symbol::Kind::kTarget;
  symbol.shape = std::move(shape);
  return symbol;
}

absl::StatusOr<Symbol> GraphTracer::CallMethod(const std::string& method,
                                               std::vector<Symbol> arguments) {
  path_ = {""};
  arguments.insert(arguments.begin(), Symbol::Constant(module_._ivalue()));
  FW_ASSIGN_OR_RETURN(std::vector<Symbol> results,
                      RunFunction(module_.get_method(method).function(), std::move(arguments)));
  if (results.size() != 1)
    return Refuse(absl::StrCat("method ", method, " returns several values"));
  return std::move(results[0]);
}

absl::Status GraphTracer::Refuse(const std::string& why) const {
  const std::string& path = path_.back();
  return absl::UnimplementedError(
      absl::StrCat(path.empty() ? "the model" : absl::StrCat("layer ", path), ": ", why));
}

absl::Status GraphTracer::NoCounterpart(const Call& call, const std::string& why) const {
  return Refuse(absl::StrCat("operator ", call.node->kind().toQualString(),
                             " has no counterpart in training graphs",
                             why.empty() ? "" : absl::StrCat(" (", why, ")")));
}

absl::StatusOr<std::vector<Symbol>> GraphTracer::RunFunction(torch::jit::Function& function,
                                                             std::vector<Symbol> arguments) {
  if (!function.isGraphFunction()) {
    return Refuse(absl::StrCat("function ", function.qualname().qualifiedName(), " is built in"));
  }
  if (path_.size() > kMaxDepth) return Refuse("its methods call each other too deeply");
  function.ensure_defined();
  const auto graph = torch::jit::toGraphFunction(function).graph();
  if (graph->inputs().size() != arguments.size()) {
    return Refuse(absl::StrCat(function.name(), " takes another number of arguments"));
  }
  Env env;
  for (size_t i = 0; i < arguments.size(); ++i) {
    env[graph->inputs()[i]] = std::move(arguments[i]);
  }
  return RunBlock(graph->block(), &env);
}

absl::StatusOr<std::vector<Symbol>> GraphTracer::RunBlock(const torch::jit::Block* block,
                                                          Env* env) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (++nodes_ > kMaxNodes) return Refuse(absl::StrCat("more than ", kMaxNodes, " operations"));
    FW_RETURN_IF_ERROR(RunNode(node, env));
  }
  std::vector<Symbol> results;
  for (const torch::jit::Value* output : block->outputs()) results.push_back((*env)[output]);
  return results;
}

absl::Status GraphTracer::RunNode(const torch::jit::Node* node, Env* env) {
  switch (node->kind()) {
    case c10::prim::If:
      return RunIf(node, env);
    case c10::prim::Loop:
      return RunLoop(node, env);
    case c10::prim::CallMethod:
    case c10::prim::CallFunction:
      return RunCall(node, env);
    case c10::prim::TupleUnpack:
    case c10::prim::ListUnpack:
      return RunUnpack(node, env);
    case c10::prim::RaiseException:
      return Refuse("it raises an exception");
    case c10::prim::Constant:
      if (const auto value = torch::jit::toIValue(node->output())) {
        Symbol symbol = Symbol::Constant(*value);
        if (value->isTensor()) symbol.kind = Symbol::Kind::kOpaque;
        (*env)[node->output()] = std::move(symbol);
      }
      return absl::OkStatus();  // a function has no value: RunCall looks at its type
    default:
      return RunOperator(node, env);
  }
}

absl::Status GraphTracer::RunIf(const torch::jit::Node* node, Env* env) {
  const Symbol& condition = (*env)[node->input()];
  if (condition.kind != Symbol::Kind::kConstant || !condition.constant.isBool()) {
    return Refuse("a branch depends on the data");
  }
  const torch::jit::Block* block = node->blocks()[condition.constant.toBool() ? 0 : 1];
  FW_ASSIGN_OR_RETURN(const std::vector<Symbol> results, RunBlock(block, env));
  for (size_t i = 0; i < results.size(); ++i) (*env)[node->outputs()[i]] = results[i];
  return absl::OkStatus();
}

absl::Status GraphTracer::RunLoop(const torch::jit::Node* node, Env* env) {
  std::vector<Symbol> state;
  for (const torch::jit::Value* input : node->inputs()) state.push_back((*env)[input]);
  const torch::jit::Block* body = node->blocks()[0];
  if (state[0].kind != Symbol::Kind::kConstant || !state[0].constant.isInt()) {
    return Refuse("a loop depends on the data");
  }
  const int64_t trips = state[0].constant.toInt();
  state.erase(state.begin());  // now the condition and what is carried
  for (int64_t trip = 0;; ++trip) {
    if (state[0].kind != Symbol::Kind::kConstant || !state[0].constant.isBool()) {
      return Refuse("a loop depends on the data");
    }
    if (trip >= trips || !state[0].constant.toBool()) break;
    (*env)[body->inputs()[0]] = Symbol::Constant(trip);
    for (size_t i = 1; i < state.size(); ++i) (*env)[body->inputs()[i]] = state[i];
    if (++nodes_ > kMaxNodes) return Refuse(absl::StrCat("more than ", kMaxNodes, " operations"));
    FW_ASSIGN_OR_RETURN(state, RunBlock(body, env));
  }
  for (size_t i = 1; i < state.size(); ++i) (*env)[node->outputs()[i - 1]] = state[i];
  return absl::OkStatus();
}

absl::Status GraphTracer::RunCall(const torch::jit::Node* node, Env* env) {
  std::vector<Symbol> arguments;
  torch::jit::Function* function = nullptr;
  std::string path = path_.back();
  if (node->kind() == c10::prim::CallFunction) {
    function = node->input(0)->type()->expect<c10::FunctionType>()->function();
    for (size_t i = 1; i < node->inputs().size(); ++i) arguments.push_back((*env)[node->input(i)]);
  } else {
    for (const torch::jit::Value* input : node->inputs()) arguments.push_back((*env)[input]);
    const Symbol& self = arguments[0];
    if (self.kind != Symbol::Kind::kConstant || !self.constant.isObject()) {
      return Refuse(absl::StrCat("method ", node->s(c10::attr::name), " of no module"));
    }
    path = self.path;
    function = &self.constant.toObjectRef().type()->getMethod(node->s(c10::attr::name));
  }
  path_.push_back(path);
  FW_ASSIGN_OR_RETURN(std::vector<Symbol> results, RunFunction(*function, std::move(arguments)));
  path_.pop_back();
  for (size_t i = 0; i < results.size(); ++i) (*env)[node->outputs()[i]] = std::move(results[i]);
  return absl::OkStatus();
}

absl::Status GraphTracer::RunUnpack(const torch::jit::Node* node, Env* env) {
  const Symbol& whole = (*env)[node->input()];
  std::vector<Symbol> items = whole.items;
  if (whole.kind == Symbol::Kind::kConstant && whole.constant.isTuple()) {
    for (const c10::IValue& item : whole.constant.toTupleRef().elements()) {
      items.push_back(Symbol::Constant(item));
    }
  } else if (whole.kind == Symbol::Kind::kConstant && whole.constant.isList()) {
    for (const c10::IValue& item : whole.constant.toListRef()) {
      items.push_back(Symbol::Constant(item));
    }
  }
  if (items.size() != node->outputs().size()) return Refuse("a list of unknown length");
  for (size_t i = 0; i < items.size(); ++i) (*env)[node->outputs()[i]] = std::move(items[i]);
  return absl::OkStatus();
}

absl::Status GraphTracer::RunOperator(const torch::jit::Node* node, Env* env) {
  Call call{node, {}, {}};
  bool known = true;
  for (const torch::jit::Value* input : node->inputs()) {
    call.in.push_back((*env)[input]);
    known = known && call.in.back().kind == Symbol::Kind::kConstant;
  }
  const std::string name = node->kind().toQualString();
  absl::Status status;
  if (name == "prim::GetAttr") {
    status = GetAttribute(&call);
  } else if (name == "prim::SetAttr") {
    status = SetAttribute(&call);
  } else if (name == "prim::ListConstruct" || name == "prim::TupleConstruct") {
    status = ConstructList(&call);
  } else if (known && Computable().count(name) > 0) {
    status = Compute(&call);
  } else {
    const auto handler = Handlers().find(name);
    status = handler == Handlers().end() ? NoCounterpart(call) : (this->*handler->second)(&call);
  }
  FW_RETURN_IF_ERROR(status);
  if (node->outputs().size() == 1) (*env)[node->output()] = std::move(call.out);
  return absl::OkStatus();
}

absl::Status GraphTracer::GetAttribute(Call* call) {
  const std::string& name = call->node->s(c10::attr::name);
  const Symbol& owner = call->in[0];
  if (owner.kind != Symbol::Kind::kConstant || !owner.constant.isObject()) {
    return Refuse(absl::StrCat("attribute ", name, " of what is no module"));
  }
  if (name == "training") {
    call->out = Symbol::Constant(mode_.training);
    return absl::OkStatus();
  }
  call->out = Symbol::Constant(owner.constant.toObjectRef().getAttr(name));
  call->out.path = owner.path.empty() ? name : absl::StrCat(owner.path, ".", name);
  if (!call->out.constant.isTensor()) return absl::OkStatus();
  const auto found = tensor_index_.find(call->out.constant.toTensor().unsafeGetTensorImpl());
  if (found == tensor_index_.end()) {
    return Refuse(absl::StrCat("tensor ", call->out.path, " is neither parameter nor buffer"));
  }
  call->out.kind = Symbol::Kind::kTensor;
  call->out.tensor = found->second;
  return absl::OkStatus();
}

absl::Status GraphTracer::SetAttribute(Call* call) {
  const std::string& name = call->node->s(c10::attr::name);
  const Symbol& owner = call->in[0];
  if (call->in[1].kind == Symbol::Kind::kCount && owner.kind == Symbol::Kind::kConstant &&
      owner.constant.isObject()) {
    const c10::IValue held = owner.constant.toObjectRef().getAttr(name);
    const auto found = held.isTensor() ? tensor_index_.find(held.toTensor().unsafeGetTensorImpl())
                                       : tensor_index_.end();
    if (found != tensor_index_.end() && found->second == call->in[1].tensor) {
      counter_ = found->second;
      return absl::OkStatus();
    }
  }
  return Refuse(absl::StrCat("it assigns to its attribute ", name, " while it runs"));
}

absl::Status GraphTracer::Compute(Call* call) {
  torch::jit::Stack stack;
  for (const Symbol& symbol : call->in) {
    if (!IsSmall(symbol.constant)) return Refuse("it computes with long lists or texts");
    const bool repeats = call->node->kind() == c10::aten::mul && Multiplies(symbol.constant);
    if (repeats) return NoCounterpart(*call);
    stack.push_back(symbol.constant);
  }
  call->node->getOperation()(stack);
  if (stack.size() > 1) return NoCounterpart(*call);
  if (stack.empty()) return absl::OkStatus();
  if (stack[0].isTensor()) return NoCounterpart(*call);
  call->out = Symbol::Constant(stack[0]);
  return absl::OkStatus();
}

absl::Status GraphTracer::ConstructList(Call* call) {
  bool known = true;
  std::vector<c10::IValue> items;
  for (const Symbol& item : call->in) {
    known = known && item.kind == Symbol::Kind::kConstant;
    items.push_back(item.constant);
  }
  if (!known) {
    call->out.kind = Symbol::Kind::kList;
    call->out.items = call->in;
    return absl::OkStatus();
  }
  if (items.size() > kMaxListed) return Refuse("it makes a long list");
  if (call->node->kind() == c10::prim::TupleConstruct) {
    call->out = Symbol::Constant(c10::ivalue::Tuple::create(std::move(items)));
    return absl::OkStatus();
  }
  c10::impl::GenericList list(
      call->node->output()->type()->expectRef<c10::ListType>().getElementType());
  for (c10::IValue& item : items) list.push_back(std::move(item));
  call->out = Symbol::Constant(std::move(list));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<TracedValue>> GraphTracer::ValueAt(const Call& call,
                                                                  size_t index) const {
  const Symbol& symbol = call.in.at(index);
  if (symbol.kind == Symbol::Kind::kValue) return symbol.value;
  if (symbol.kind == Symbol::Kind::kTensor) {
    return NoCounterpart(call, absl::StrCat("on ", manifest_.tensors()[symbol.tensor].name));
  }
  return NoCounterpart(call, symbol.kind == Symbol::Kind::kTarget ? "on the targets" : "");
}

absl::StatusOr<uint32_t> GraphTracer::TensorAt(const Call& call, size_t index) const {
  const Symbol& symbol = call.in.at(index);
  if (symbol.IsNone()) return kNoTensor;
  if (symbol.kind == Symbol::Kind::kTensor) return symbol.tensor;
  return NoCounterpart(call, absl::StrCat("its argument ", index, " is computed"));
}

absl::StatusOr<int64_t> GraphTracer::IntAt(const Call& call, size_t index) const {
  const Symbol& symbol = call.in.at(index);
  if (symbol.kind == Symbol::Kind::kConstant && symbol.constant.isInt()) {
    return symbol.constant.toInt();
  }
  if (symbol.kind == Symbol::Kind::kConstant && symbol.constant.isBool()) {
    return symbol.constant.toBool() ? 1 : 0;
  }
  return NoCounterpart(call, absl::StrCat("its argument ", index, " is no known integer"));
}

absl::StatusOr<double> GraphTracer::RealAt(const Call& call, size_t index) const {
  const Symbol& symbol = call.in.at(index);
  if (symbol.kind == Symbol::Kind::kConstant && symbol.constant.isDouble()) {
    return symbol.constant.toDouble();
  }
  FW_ASSIGN_OR_RETURN(const int64_t whole, IntAt(call, index));
  return static_cast<double>(whole);
}

absl::StatusOr<std::vector<int64_t>> GraphTracer::IntsAt(const Call& call, size_t index) const {
  const Symbol& symbol = call.in.at(index);
  if (symbol.kind == Symbol::Kind::kConstant && symbol.constant.isIntList()) {
    return symbol.constant.toIntVector();
  }
  FW_ASSIGN_OR_RETURN(const int64_t one, IntAt(call, index));
  return std::vector<int64_t>{one};
}

absl::StatusOr<std::vector<int64_t>> GraphTracer::PairAt(const Call& call, size_t index) const {
  FW_ASSIGN_OR_RETURN(std::vector<int64_t> pair, IntsAt(call, index));
  if (pair.size() == 1) pair.push_back(pair[0]);
  const auto fits = [](int64_t number) { return number >= 0 && number <= kMaxGraphNumber; };
  if (pair.size() == 2 && fits(pair[0]) && fits(pair[1])) return pair;
  return NoCounterpart(call, absl::StrCat("its argument ", index, " is not for two dimensions"));
}

absl::StatusOr<int64_t> GraphTracer::AxisAt(const Call& call, size_t index, size_t dims) const {
  FW_ASSIGN_OR_RETURN(int64_t axis, IntAt(call, index));
  if (axis < 0) axis += static_cast<int64_t>(dims);
  if (axis >= 1 && axis < static_cast<int64_t>(dims)) return axis;
  return NoCounterpart(call, absl::StrCat("over dimension ", axis));
}

}  // namespace fedwatt::torch_internal
