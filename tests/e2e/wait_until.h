#pragma once

// Waiting for something that another process does. Nothing here is told when that happens, so it
// looks again and again, every few milliseconds, until a deadline.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>

namespace fedwatt::e2e {

inline constexpr int64_t kPatienceMs = 30'000;

// ASSERT_TRUE(WaitUntil("the first commit", [&] { return Committed() == 1; }));
testing::AssertionResult WaitUntil(const std::string& what, const std::function<bool()>& condition,
                                   int64_t timeout_ms = kPatienceMs);

}  // namespace fedwatt::e2e
