// `fedwatt codec` as an operator runs it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/base/file.h"
#include "tests/e2e/program.h"

namespace fedwatt::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CodecCli : public testing::Test {
 protected:
  Output Execute(const std::string& program, std::vector<std::string> args) {
    args.insert(args.begin(), BinDir() + "/" + program);
    return RunToEnd({.argv = args}, testing::TempDir());
  }
  Output Codec(std::vector<std::string> args) {
    args.insert(args.begin(), "codec");
    return Execute("fedwatt", std::move(args));
  }
};

TEST_F(CodecCli, ListNamesDefaultsAndWhatNeedsState) {
  const Output list = Codec({"list", "--json"});
  ASSERT_EQ(list.code, 0) << list.ToString();
  bool eden = false, topk = false;
  for (const auto& codec : list.Json()) {
    if (codec["name"] == "eden") {
      eden = true;
      EXPECT_EQ(codec["parameters"]["bits"], "2");
      EXPECT_EQ(codec["needs_error_feedback"], false);
      EXPECT_NEAR(codec["vnmse"].get<double>(), 0.0976, 0.003);
    }
    if (codec["name"] == "topk") topk = codec["needs_error_feedback"].get<bool>();
  }
  EXPECT_TRUE(eden && topk) << list.out;
  EXPECT_THAT(Codec({"list"}).out, AllOf(HasSubstr("bits=2"), HasSubstr("raw_f32")));
}

TEST_F(CodecCli, CompareMeasuresAModelsOwnUpdate) {
  const std::string model = testing::TempDir() + "/model.fwb";
  const Output made = Execute("fedwatt-torch", {"new", "mlp", "--hidden", "16", "-o", model});
  ASSERT_EQ(made.code, 0) << made.ToString();
  const Output compared = Codec({"compare", "--bundle", model, "--size", "20000", "--codecs",
                                 "eden:bits=2,mode=lloyd_max,raw_f32", "--json"});
  ASSERT_EQ(compared.code, 0) << compared.ToString();
  EXPECT_EQ(compared.err, "");
  const auto codecs = compared.Json()["codecs"];
  ASSERT_EQ(codecs.size(), 2u);
  EXPECT_EQ(codecs[0]["codec"], "eden:bits=2,mode=lloyd_max");
  for (const char* vector : {"gaussian", "heavy_tailed", "update"}) {
    EXPECT_NEAR(codecs[0][vector]["vnmse"].get<double>(), 0.133, 0.02) << vector;
    EXPECT_LT(codecs[0][vector]["bits"].get<double>(), 2.1) << vector;
    EXPECT_EQ(codecs[1][vector]["vnmse"], 0) << vector;
    EXPECT_EQ(codecs[1][vector]["bits"], 32) << vector;
  }
  EXPECT_GT(codecs[0]["encode_gb_s"].get<double>(), 0);
  EXPECT_GT(codecs[0]["decode_gb_s"].get<double>(), 0);
}

TEST_F(CodecCli, WithoutAnUpdateItsColumnIsEmptyAndALineSaysWhy) {
  const Output compared = Codec({"compare", "--size", "5000", "--codecs", "topk"});
  ASSERT_EQ(compared.code, 0) << compared.ToString();
  EXPECT_THAT(compared.out, AllOf(HasSubstr("topk:fraction=0.01"), HasSubstr("needed"),
                                  HasSubstr("--update FILE")));
  EXPECT_EQ(compared.err, "") << "no progress in a pipe";
  EXPECT_EQ(compared.out.find('\x1b'), std::string::npos);
}

TEST_F(CodecCli, EachMistakeHasItsExitCode) {
  const Output unknown = Codec({"compare", "--codecs", "edne"});
  EXPECT_EQ(unknown.code, 2) << unknown.ToString();
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"eden\""));
  EXPECT_EQ(Codec({"compare", "--codecs", "eden:bits=99"}).code, 2);
  EXPECT_EQ(Codec({"compare", "--size", "0"}).code, 2);
  EXPECT_EQ(Codec({"compare", "--bundle", "/none.fwb"}).code, 5);
  EXPECT_EQ(Codec({"compare", "--update", "/none.f32"}).code, 5);
  EXPECT_EQ(Codec({}).code, 2);
}

}  // namespace
}  // namespace fedwatt::e2e
