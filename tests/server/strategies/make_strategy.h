#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "server/driver/plugins.h"

namespace fedwatt {

inline absl::StatusOr<std::unique_ptr<Strategy>> Make(const std::string& name,
                                                      const std::map<std::string, double>& params) {
  return Plugins::Builtin().MakeStrategy({name, params});
}

// Why a strategy with such parameters is refused.
inline std::string Refusal(const std::string& name, const std::map<std::string, double>& params) {
  const auto strategy = Make(name, params);
  EXPECT_EQ(strategy.status().code(), absl::StatusCode::kInvalidArgument) << name;
  return std::string(strategy.status().message());
}

}  // namespace fedwatt
