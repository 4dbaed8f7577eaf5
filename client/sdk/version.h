#pragma once

// The version that a client tells its coordinator, and that a plan's `min_sdk` is compared with.
namespace fedwatt {

inline constexpr char kSdkVersion[] = "0.1.0";

}  // namespace fedwatt
