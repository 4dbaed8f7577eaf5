#pragma once

// Early return on error for functions that return absl::Status or absl::StatusOr<T>.
//
//   FW_RETURN_IF_ERROR(Validate(x));
//   FW_ASSIGN_OR_RETURN(const Model model, Load(path));
//   FW_ASSIGN_OR_RETURN(auto both, (Pair<int, int>()));   // parenthesise commas

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define FW_STATUS_CONCAT_INNER(a, b) a##b
#define FW_STATUS_CONCAT(a, b) FW_STATUS_CONCAT_INNER(a, b)

#define FW_RETURN_IF_ERROR(expr)                            \
  do {                                                      \
    if (absl::Status fw_status = (expr); !fw_status.ok()) { \
      return fw_status;                                     \
    }                                                       \
  } while (false)

#define FW_ASSIGN_OR_RETURN(lhs, expr) \
  FW_ASSIGN_OR_RETURN_INNER(FW_STATUS_CONCAT(fw_status_or_, __LINE__), lhs, expr)

#define FW_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result.ok()) {                                \
    return std::move(result).status();               \
  }                                                  \
  lhs = *std::move(result)
