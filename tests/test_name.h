#pragma once

#include <cctype>
#include <string>

namespace fedwatt {

// What GoogleTest takes as a parameter's name: letters, digits and underscores, one for each other
// character; 'p' for a point, so that 1.5 is not 15.
inline std::string TestName(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    name += plain ? c : c == '.' ? 'p' : '_';
  }
  return name;
}

}  // namespace fedwatt
