#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"

// Which operators a stranger's graph may contain. A TorchScript graph is a program: with the full
// operator library it could read local files (aten::from_file), write them (aten::save), call
// Python or custom C++ classes. The list names what models need (arithmetic, layers, losses,
// shapes, indexing, control flow); what it does not name is refused, new operators included.
namespace fedwatt {

class OperatorAllowList {
 public:
  // The built-in list and `extra` (qualified: "aten::stft"). An in-place form "aten::relu_" is
  // allowed with its plain form.
  explicit OperatorAllowList(const std::vector<std::string>& extra = {});

  bool Contains(const std::string& op) const;

  // OK or PERMISSION_DENIED, naming operator, method, the danger where it is known, and the option
  // that allows it.
  absl::Status Check(const std::string& op, const std::string& method) const;

  // All names, sorted.
  const std::set<std::string>& names() const { return names_; }

 private:
  std::set<std::string> names_;
};

}  // namespace fedwatt
