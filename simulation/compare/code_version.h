#pragma once

#include <string>

namespace fedwatt {

// Of the code that this program was built from: the last commit that changed any of it, and, where
// the working tree differed, "+" and a hash of the difference. Built outside a repository: the
// program's version.
std::string CodeVersion();

}  // namespace fedwatt
