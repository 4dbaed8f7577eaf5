#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/fake_clock.h"
#include "common/base/file.h"
#include "server/carbon/carbon_source.h"
#include "tests/server/carbon/one_answer_server.h"

namespace fedwatt {

// A carbon service played by a server on loopback.
class CarbonServiceTest : public testing::Test {
 protected:
  static constexpr int64_t kNow = FakeClock::kDefaultStartMs;  // 2026-01-01T00:00:00Z
  static constexpr int64_t kHour = 3'600'000;

  static std::string Temp(const std::string& name) {
    return absl::StrCat(testing::TempDir(), "/", name);
  }

  std::unique_ptr<CarbonSource> New(const std::string& name, const std::string& region) {
    config_.source = name;
    config_.region = region;
    config_.url = server_.url();
    config_.token_file = Temp("token");
    config_.timeout_ms = 5000;
    EXPECT_TRUE(WriteFileAtomic(config_.token_file, "s3cret\n").ok());
    auto source = MakeCarbonSource(config_);
    EXPECT_TRUE(source.ok()) << source.status();
    return *std::move(source);
  }

  CarbonConfig config_;
  OneAnswerServer server_{OneAnswerServer::Status(500)};
};

}  // namespace fedwatt
