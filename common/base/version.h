#pragma once

namespace fedwatt {

// Of this source tree; CMake reads it from here.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace fedwatt
