#pragma once

// The SDK as an app developer has it: `cmake --install`ed into a folder, with the examples built
// against it there, as projects of their own.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {

// The job that the examples train: y = w x + b, four inputs.
struct LinearJob {
  uint32_t rounds = 3;
  uint32_t goal = 2;
  std::vector<std::string> set;  // `--set` arguments, on top
};

// Writes linear.fwb, a model for the examples' own trainers, and as a training graph. Both
// parameters are zero.
void WriteLinearBundle(const Deployment& fleet);
// The same as TorchScript, in a signed linear.fwb.
void WriteLinearModule(const Deployment& fleet);
// Submits it; the job's id.
std::string SubmitLinear(Deployment& fleet, const LinearJob& job = {});
// What its newest model is: w0 w1 w2 w3 b.
std::vector<float> ExportLinear(Deployment& fleet, const std::string& job);

class InstalledSdk {
 public:
  // Installs these components (cmake/package.cmake) below `fleet`'s folder. From this build, or the
  // one that the environment names (./dev sanitize): FEDWATT_SDK_BUILD is its folder,
  // FEDWATT_SDK_SANITIZE its sanitizers.
  explicit InstalledSdk(const Deployment& fleet,
                        const std::vector<std::string>& components = {"sdk"});

  testing::AssertionResult ok() const;
  std::string prefix() const { return prefix_; }
  std::string library() const { return prefix_ + "/lib/libfedwatt_client.so.1"; }
  // Builds the example in that folder of examples/ and gives its program's path, "" on failure.
  std::string Build(const std::string& example, const std::string& program);

  // Whether it has sanitizers, which an example then needs, too; and the compiler's flags for them.
  static bool sanitized();
  static std::string compiler_flags();

 private:
  const std::string scratch_;
  const std::string prefix_;
  Output installed_;
};

}  // namespace fedwatt::e2e
