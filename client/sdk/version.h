#pragma once

#include "common/base/version.h"

// The version that a client tells its coordinator, and that a plan's `min_sdk` is compared with.
namespace fedwatt {

inline constexpr const char* kSdkVersion = kVersion;

}  // namespace fedwatt
