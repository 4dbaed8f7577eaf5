#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/interrupt.h"
#include "common/base/subprocess.h"

namespace fedwatt::bench {

// A child that is spoken to in lines on its standard input and output. Ended with SIGKILL on
// destruction. One thread.
class LineProcess {
 public:
  static absl::StatusOr<LineProcess> Start(const std::vector<std::string>& argv);

  LineProcess(LineProcess&& other) noexcept;
  LineProcess& operator=(LineProcess&&) = delete;
  ~LineProcess();

  absl::Status WriteLine(const std::string& line);

  // UNAVAILABLE: the child closed its output. DEADLINE_EXCEEDED, CANCELLED (by `interrupt`).
  absl::StatusOr<std::string> ReadLine(int64_t timeout_ms, const Interrupt& interrupt);

  const Subprocess& process() const { return process_; }

 private:
  LineProcess(std::string name, int in, int out, Subprocess process)
      : name_(std::move(name)), in_(in), out_(out), process_(std::move(process)) {}

  std::string name_;
  int in_ = -1;   // we write
  int out_ = -1;  // we read
  std::string buffer_;
  Subprocess process_;
};

}  // namespace fedwatt::bench
