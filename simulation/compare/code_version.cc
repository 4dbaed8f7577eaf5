#include "simulation/compare/code_version.h"

#include "commit.h"
#include "common/base/version.h"

namespace fedwatt {

std::string CodeVersion() {
  const std::string commit = kCommit;
  return commit.empty() ? kVersion : commit;
}

}  // namespace fedwatt
