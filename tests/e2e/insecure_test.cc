// Without TLS: only when told, and only on loopback.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/e2e/deployment.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

class Insecure : public testing::Test {
 protected:
  std::vector<std::string> Coordinator(const std::string& listen) {
    return {BinDir() + "/fedwatt-coordinator",
            "--listen",
            listen,
            "--data-dir",
            fleet_.data_dir(),
            "--insecure",
            "--port-file",
            fleet_.File("port")};
  }

  std::vector<std::string> Client(const std::string& server) {
    return {BinDir() + "/fedwatt-client",
            "--server",
            server,
            "--insecure-subject",
            "phone-1",
            "--state-dir",
            fleet_.File("state"),
            "--trusted-key",
            fleet_.certs() + "/owner.pub",
            "--trainer",
            "echo",
            "--dataset",
            "d"};
  }

  Output Run(const std::vector<std::string>& argv) {
    return RunToEnd({.argv = argv, .timeout_ms = 30'000}, fleet_.scratch());
  }

  Deployment fleet_{0};
};

TEST_F(Insecure, IsRefusedBeyondLoopback) {
  for (const std::string listen : {"0.0.0.0:0", "[::]:0"}) {
    const Output start = Run(Coordinator(listen));
    EXPECT_GT(start.code, 0) << start.ToString();
    EXPECT_THAT(start.err, HasSubstr("loopback"));
  }
  EXPECT_FALSE(FileExists(fleet_.File("port")));
  const Output client = Run(Client("192.0.2.1:7443"));
  EXPECT_GT(client.code, 0) << client.ToString();
  EXPECT_THAT(client.err, HasSubstr("loopback"));
  const Output list =
      Run({BinDir() + "/fedwatt", "--server", "192.0.2.1:7443", "--insecure", "list"});
  EXPECT_EQ(list.code, 2) << list.ToString();
  EXPECT_THAT(list.err, HasSubstr("loopback"));
}

TEST_F(Insecure, ServesALoopbackFleetWhenAskedTo) {
  fleet_.WriteBundle();
  Program coordinator(Coordinator("127.0.0.1:0"), fleet_.File("coordinator.log"));
  ASSERT_TRUE(WaitUntil("the port", [&] {
    return FileSize(fleet_.File("port")).value_or(0) > 0 || !coordinator.running();
  }));
  ASSERT_TRUE(coordinator.running()) << coordinator.Log();
  EXPECT_THAT(coordinator.Log(), testing::ContainsRegex("[Ii][Nn][Ss][Ee][Cc][Uu][Rr][Ee]"))
      << "whoever reads the log must see it";
  std::string port = ReadFile(fleet_.File("port"), 64).value_or("");
  absl::StripAsciiWhitespace(&port);
  const std::string server = absl::StrCat("127.0.0.1:", port);
  Program client(Client(server), fleet_.File("client.log"));
  const Output run = Run({BinDir() + "/fedwatt", "--server", server, "--insecure", "run",
                          fleet_.WriteJobFile({.rounds = 2, .goal = 1})});
  EXPECT_EQ(run.code, 0) << run.ToString() << client.Log();
}

TEST_F(Insecure, IsNeverTheDefault) {
  const Output start = Run({BinDir() + "/fedwatt-coordinator", "--listen", "127.0.0.1:0",
                            "--data-dir", fleet_.data_dir()});
  EXPECT_GT(start.code, 0) << start.ToString();
  EXPECT_THAT(start.err, HasSubstr("--tls-dir"));
}

}  // namespace
}  // namespace fedwatt::e2e
