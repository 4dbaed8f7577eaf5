// The byte formats of docs/codecs.md, pinned: golden/<variant>.txt holds an encoding and the
// SHA-256 of the float32 values that it decodes to. FEDWATT_REWRITE=1 writes the files anew.

#include <cstdlib>
#include <memory>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "common/crypto/sha256.h"
#include "gtest/gtest.h"
#include "tests/common/codec/codec_variants.h"
#include "tests/common/codec/instruction_sets.h"
#include "tests/test_name.h"

namespace fedwatt {
namespace {

constexpr char kFolder[] = "tests/common/codec/golden";
constexpr size_t kCount = 300;
constexpr size_t kHexPerLine = 96;

// Sums of uniforms: exact on every machine, other than a normal distribution.
std::vector<float> Values() {
  Rng rng(RngKey{"codec", 0, "", "golden", 1});
  std::vector<float> values(kCount);
  for (float& v : values) {
    v = static_cast<float>(rng.Uniform01() + rng.Uniform01() + rng.Uniform01() - 1.5);
  }
  values[7] = -9.0f;
  values[8] = 0.0f;
  return values;
}

struct Golden {
  std::string encoding;
  std::string decoded_sha256;
};

std::string ToText(const std::string& codec, const Golden& golden) {
  std::string text = absl::StrCat("codec ", codec, "\ncoordinates ", kCount, "\ndecoded_sha256 ",
                                  golden.decoded_sha256, "\nencoding\n");
  const std::string hex = HexEncode(AsBytes(golden.encoding));
  for (size_t i = 0; i < hex.size(); i += kHexPerLine) {
    absl::StrAppend(&text, hex.substr(i, kHexPerLine), "\n");
  }
  return text;
}

absl::StatusOr<Golden> FromText(const std::string& text) {
  Golden golden;
  std::string hex;
  std::string word;
  std::istringstream in(text);
  while (in >> word && word != "encoding") {
    std::string value;
    in >> value;
    if (word == "decoded_sha256") golden.decoded_sha256 = value;
  }
  while (in >> word) hex += word;
  const auto bytes = HexDecode(hex);
  if (!bytes.ok()) return bytes.status();
  golden.encoding.assign(bytes->begin(), bytes->end());
  return golden;
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  Golden Make() {
    const std::vector<MatrixShape> matrices = {{10, 12, 12}, {170, 2, 3}, {180, 20, 5}};
    CodecContext context;
    context.job = "job";
    context.round = 7;
    context.client = "phone";
    context.seed = 11;
    context.matrices = matrices;
    Golden golden;
    const absl::Status status = codec_->Encode(Values(), context, &golden.encoding);
    EXPECT_TRUE(status.ok()) << status;
    golden.decoded_sha256 = HashOfDecoded(golden.encoding);
    return golden;
  }

  std::string HashOfDecoded(const std::string& encoding) {
    const auto decoded = DecodeAll(*codec_, AsBytes(encoding), kCount);
    if (!decoded.ok()) return decoded.status().ToString();
    return Sha256Hex(ByteSpan(reinterpret_cast<const uint8_t*>(decoded->data()),
                              decoded->size() * sizeof(float)));
  }

  const std::unique_ptr<Codec> codec_ = *MakeCodec(GetParam());
};

TEST_P(GoldenTest, BytesAndDecodedBitsAreThoseOfRecordOnEveryInstructionSet) {
  const std::string path = absl::StrCat(kFolder, "/", TestName(GetParam()), ".txt");
  if (std::getenv("FEDWATT_REWRITE") != nullptr) {
    ASSERT_TRUE(WriteFileAtomic(path, ToText(GetParam(), Make())).ok());
    return;
  }
  const auto text = ReadFile(path, 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status() << "; FEDWATT_REWRITE=1 writes it";
  const auto golden = FromText(*text);
  ASSERT_TRUE(golden.ok()) << golden.status();
  ForEachInstructionSet([&](const char* name) {
    EXPECT_EQ(HashOfDecoded(golden->encoding), golden->decoded_sha256) << name;
    EXPECT_EQ(ToText(GetParam(), Make()), *text) << name;
  });
}

INSTANTIATE_TEST_SUITE_P(Builtin, GoldenTest, testing::ValuesIn(CodecVariants()),
                         [](const auto& info) { return TestName(info.param); });

}  // namespace
}  // namespace fedwatt
