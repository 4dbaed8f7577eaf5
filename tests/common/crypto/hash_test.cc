// SHA-256 and HMAC against the published vectors.

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/base/hex.h"
#include "common/crypto/hmac.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// FIPS 180-4 examples.
TEST(Sha256, ReproducesTheStandardsExamples) {
  EXPECT_EQ(Sha256Hex({}), kEmpty);
  EXPECT_EQ(Sha256Hex(AsBytes("abc")), kAbc);
  EXPECT_EQ(Sha256Hex(AsBytes(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesHashLikeTheWhole) {
  Sha256 hash;
  hash.Update(AsBytes("a"));
  hash.Update({});
  hash.Update(AsBytes("bc"));
  EXPECT_EQ(DigestHex(hash.Finish()), kAbc);
}

TEST(Sha256, ResetStartsOver) {
  Sha256 hash;
  hash.Update(AsBytes("garbage"));
  hash.Reset();
  hash.Update(AsBytes("abc"));
  EXPECT_EQ(DigestHex(hash.Finish()), kAbc);
  hash.Reset();
  EXPECT_EQ(DigestHex(hash.Finish()), kEmpty);
}

TEST(Sha256, ACopyGoesOnFromTheSamePrefix) {
  Sha256 hash;
  hash.Update(AsBytes("ab"));
  Sha256 copy = hash;
  hash.Update(AsBytes("x"));
  copy.Update(AsBytes("c"));
  EXPECT_EQ(DigestHex(copy.Finish()), kAbc);
  Sha256 assigned;
  assigned.Update(AsBytes("to be replaced"));
  Sha256 prefix;
  prefix.Update(AsBytes("ab"));
  assigned = prefix;
  Sha256 moved = std::move(assigned);
  moved.Update(AsBytes("c"));
  EXPECT_EQ(DigestHex(moved.Finish()), kAbc);
}

TEST(ParseDigest, ReadsItsOwnFormAndRefusesOthers) {
  EXPECT_EQ(DigestHex(*ParseDigest(kAbc)), kAbc);
  EXPECT_EQ(ParseDigest("ab").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseDigest(std::string(64, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseDigest(std::string(66, '0')).status().code(), absl::StatusCode::kInvalidArgument);
}

// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
TEST(Hmac, ReproducesTheRfcVectors) {
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes(std::string(20, '\x0b')), AsBytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      HexEncode(HmacSha256(AsBytes(std::string(131, '\xaa')),
                           AsBytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, AnEmptyKeyIsAKey) {
  // HMAC-SHA256 of the empty message under the empty key.
  const char expected[] = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes("other"), AsBytes("x"))).size(), 64U);
  EXPECT_EQ(HexEncode(HmacSha256({}, {})), expected);
}

TEST(ConstantTimeEqual, ComparesEveryByte) {
  const Digest a = Sha256Of(AsBytes("a"));
  Digest b = a;
  EXPECT_TRUE(ConstantTimeEqual(a, b));
  b.back() ^= 1;
  EXPECT_FALSE(ConstantTimeEqual(a, b));
}

}  // namespace
}  // namespace fedwatt
