#pragma once

// deploy/quickstart.sh as `./dev quickstart` calls it, after the build.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"
#include "tests/e2e/program.h"

namespace fedwatt::e2e {

class Quickstart {
 public:
  static constexpr int64_t kLimitMs = 230'000;

  std::vector<std::string> Command(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"deploy/quickstart.sh", "--dir", dir()});
    return flags;
  }
  std::vector<std::string> Environment() const { return {"FEDWATT_BIN=" + BinDir()}; }

  Output Run(const std::vector<std::string>& flags, int64_t timeout_ms = kLimitMs) const {
    return RunToEnd({.argv = Command(flags), .env = Environment(), .timeout_ms = timeout_ms},
                    dir_.path());
  }

  nlohmann::json Report() const {
    constexpr uint64_t kMaxReportBytes = 16 << 20;
    const auto text = ReadFile(File("report.json"), kMaxReportBytes);
    EXPECT_TRUE(text.ok()) << text.status();
    return nlohmann::json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
  }

  std::string dir() const { return dir_.File("run"); }
  std::string File(const std::string& name) const { return dir() + "/" + name; }
  const std::string& scratch() const { return dir_.path(); }

 private:
  TempDir dir_;
};

}  // namespace fedwatt::e2e
