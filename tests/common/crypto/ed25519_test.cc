#include "common/crypto/ed25519.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/file.h"
#include "common/base/hex.h"
#include "common/crypto/sha256.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

struct Vector {
  const char* seed;
  const char* public_key;
  const char* message;
  const char* signature;
};

// RFC 8032, section 7.1, tests 1 to 3.
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Ed25519, ReproducesTheRfcVectors) {
  for (const Vector& vector : kVectors) {
    const auto key = SigningKey::FromSeed(*HexDecode(vector.seed));
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(HexEncode(key->public_key().bytes()), vector.public_key);
    const std::vector<uint8_t> message = *HexDecode(vector.message);
    const Signature signature = key->Sign(message);
    EXPECT_EQ(HexEncode(signature), vector.signature);
    EXPECT_TRUE(key->public_key().Verify(message, signature).ok());
  }
}

TEST(Ed25519, RefusesAnAlteredMessageSignatureOrKey) {
  const auto key = SigningKey::Generate();
  const auto other = SigningKey::Generate();
  ASSERT_TRUE(key.ok() && other.ok());
  Signature signature = key->Sign(AsBytes("model"));
  EXPECT_TRUE(key->public_key().Verify(AsBytes("model"), signature).ok());
  const absl::Status altered = key->public_key().Verify(AsBytes("modeL"), signature);
  EXPECT_EQ(altered.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(altered), HasSubstr(key->public_key().KeyId()));
  EXPECT_FALSE(other->public_key().Verify(AsBytes("model"), signature).ok());
  signature[5] ^= 1;
  EXPECT_FALSE(key->public_key().Verify(AsBytes("model"), signature).ok());
}

TEST(Ed25519, EveryGeneratedKeyIsNew) {
  EXPECT_NE(SigningKey::Generate()->public_key().KeyId(),
            SigningKey::Generate()->public_key().KeyId());
}

TEST(Ed25519, TheKeyIdIsTheHashOfThePublicKey) {
  const auto key = SigningKey::Generate();
  EXPECT_EQ(key->public_key().KeyId(), Sha256Hex(key->public_key().bytes()).substr(0, 16));
}

TEST(Ed25519, PemRoundTrips) {
  const auto key = SigningKey::Generate();
  const auto again = SigningKey::FromPem(key->ToPem());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->public_key(), key->public_key());
  EXPECT_EQ(again->Sign(AsBytes("x")), key->Sign(AsBytes("x")));
  EXPECT_EQ(*PublicKey::FromPem(key->public_key().ToPem()), key->public_key());
}

TEST(Ed25519, FilesRoundTripAndTheSecretIsPrivate) {
  const TempDir dir;
  const auto key = SigningKey::Generate();
  ASSERT_TRUE(key->Save(dir.File("owner.key")).ok());
  ASSERT_TRUE(key->public_key().Save(dir.File("owner.pub")).ok());
  struct stat info {};
  ASSERT_EQ(stat(dir.File("owner.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(SigningKey::Load(dir.File("owner.key"))->public_key(), key->public_key());
  EXPECT_EQ(*PublicKey::Load(dir.File("owner.pub")), key->public_key());
}

TEST(Ed25519, ASecretThatOthersCanReadIsRefusedWithTheRemedy) {
  const TempDir dir;
  const std::string path = dir.File("owner.key");
  ASSERT_TRUE(WriteFileAtomic(path, SigningKey::Generate()->ToPem(), 0644).ok());
  const auto loaded = SigningKey::Load(path);
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Message(loaded.status()), HasSubstr("chmod 600 " + path));
}

TEST(Ed25519, BadInputIsRefusedAndNamed) {
  const TempDir dir;
  EXPECT_EQ(PublicKey::FromBytes(AsBytes("short")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SigningKey::FromSeed(AsBytes("short")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(PublicKey::FromPem("garbage").ok());
  EXPECT_FALSE(SigningKey::FromPem("").ok());
  EXPECT_EQ(SigningKey::Load(dir.File("absent")).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomic(dir.File("bad.pub"), "garbage").ok());
  EXPECT_THAT(Message(PublicKey::Load(dir.File("bad.pub")).status()),
              HasSubstr(dir.File("bad.pub")));
  // A private key where a public one belongs.
  EXPECT_FALSE(PublicKey::FromPem(SigningKey::Generate()->ToPem()).ok());
}

TEST(Ed25519, AKeyCanBeMoved) {
  auto a = SigningKey::Generate();
  auto b = SigningKey::Generate();
  const PublicKey a_public = a->public_key();
  *b = *std::move(a);
  EXPECT_EQ(b->public_key(), a_public);
  EXPECT_TRUE(a_public.Verify(AsBytes("x"), b->Sign(AsBytes("x"))).ok());
}

}  // namespace
}  // namespace fedwatt
