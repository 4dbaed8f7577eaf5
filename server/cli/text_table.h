#pragma once

#include <string>
#include <vector>

namespace fedwatt::cli {

// Columns as wide as their widest cell, two blanks between; the first row is the head. Cells that
// begin with a digit, and their heads, are flushed right.
std::string TextTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace fedwatt::cli
