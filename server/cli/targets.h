#pragma once

#include <string>
#include <vector>

#include "fedwatt/v1/admin_service.pb.h"

// What a job was to reach, `[targets]` of its file: pass or fail, for people and for CI.
namespace fedwatt::cli {

struct TargetResult {
  std::string name;  // "targets.joules"
  std::string text;  // "at most 5000 J: 4812 J, 3 % estimated"
  bool passed = false;
};

// One for each target that is set. A figure that is not there does not pass.
std::vector<TargetResult> TargetResults(const v1::Job& job);

bool AllPassed(const std::vector<TargetResult>& results);

// "passed  targets.joules  at most ...", a line each; empty without targets.
std::string TargetText(const std::vector<TargetResult>& results);

}  // namespace fedwatt::cli
