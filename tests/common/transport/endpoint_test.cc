#include "common/transport/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fedwatt {
namespace {

TEST(Endpoint, NamesAndLiterals) {
  const Endpoint name = ParseEndpoint("fl.example.org:7443").value();
  EXPECT_EQ(name.host, "fl.example.org");
  EXPECT_EQ(name.port, 7443);
  EXPECT_EQ(ParseEndpoint("127.0.0.1:0")->port, 0);
  EXPECT_EQ(ParseEndpoint("[::1]:65535")->host, "::1");
}

TEST(Endpoint, ToStringIsWhatWasParsed) {
  for (const std::string text :
       {"fl.example.org:7443", "10.0.0.7:1", "[::1]:7443", "[fe80::2]:0"}) {
    EXPECT_EQ(ParseEndpoint(text)->ToString(), text);
  }
}

TEST(Endpoint, BadOnesSayWhatIsWrongAndShowTheForm) {
  for (const std::string text :
       {"", "host", "host:", ":7443", "host:65536", "host:-1", "host:+1", "host:7443x", "::1:7443",
        "host: 7443", "host:99999999999999999999"}) {
    const absl::Status status = ParseEndpoint(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("127.0.0.1:7443")) << text;
  }
  EXPECT_FALSE(ParseEndpoint(std::string(100'000, 'x') + ":1").ok());
}

TEST(Endpoint, LoopbackIsWhereNobodyElseCanConnect) {
  for (const std::string text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(ParseEndpoint(text)->IsLoopback()) << text;
  }
  for (const std::string text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1",
                                 "localhost.example.org:1", "127.0.0.1.example.org:1"}) {
    EXPECT_FALSE(ParseEndpoint(text)->IsLoopback()) << text;
  }
}

}  // namespace
}  // namespace fedwatt
