#pragma once

// The system's words for an errno value.

#include <string>
#include <system_error>

namespace fedwatt {

// Thread-safe, unlike strerror.
inline std::string ErrnoText(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace fedwatt
