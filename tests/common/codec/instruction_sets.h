#pragma once

// The instruction sets that this machine has, for tests that compare them.

#include <algorithm>
#include <vector>

#include "hwy/highway.h"
#include "hwy/targets.h"

namespace fedwatt {

inline std::vector<int64_t> InstructionSets() {
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  targets.push_back(HWY_STATIC_TARGET);
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

// Calls `test` with each instruction set chosen, then gives the choice back.
template <typename Test>
void ForEachInstructionSet(Test test) {
  for (const int64_t target : InstructionSets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    test(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace fedwatt
