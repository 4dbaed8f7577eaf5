#include <vector>

#include "common/bundle/bundle.h"
#include "common/bundle/bundle_layout.h"
#include "common/wire/bundle_bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/bundle/small_bundle.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TEST(BundleSignatureTest, IsAcceptedUnderATrustedKey) {
  const SigningKey owner = TestKey(1);
  const auto bundle = *Bundle::Open(WriteSmallBundle(&owner));
  const std::vector<PublicKey> trusted = {TestKey(2).public_key(), owner.public_key()};
  EXPECT_TRUE(bundle->VerifySignedBy(trusted).ok());
  EXPECT_THAT(bundle->signer_key_ids(), testing::ElementsAre(owner.public_key().KeyId()));
}

TEST(BundleSignatureTest, AnUnsignedBundleIsRefused) {
  const auto bundle = *Bundle::Open(WriteSmallBundle());
  const std::vector<PublicKey> trusted = {TestKey(1).public_key()};
  const absl::Status status = bundle->VerifySignedBy(trusted);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the bundle is not signed"));
}

TEST(BundleSignatureTest, AStrangersKeyIsNamed) {
  const SigningKey stranger = TestKey(3);
  const auto bundle = *Bundle::Open(WriteSmallBundle(&stranger));
  const std::vector<PublicKey> trusted = {TestKey(1).public_key()};
  const absl::Status status = bundle->VerifySignedBy(trusted);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("signed by key " + stranger.public_key().KeyId() + ", which is not trusted"));
  EXPECT_EQ(bundle->VerifySignedBy({}).code(), absl::StatusCode::kPermissionDenied);
}

TEST(BundleSignatureTest, ASignatureSurvivesOtherTensors) {
  const SigningKey owner = TestKey(1);
  const auto bundle = *Bundle::Open(WriteSmallBundle(&owner));
  const std::string path = TestPath("bare");
  ASSERT_TRUE(BundleWriter::WriteWithTensors(path, *bundle, {}).ok());
  const std::vector<PublicKey> trusted = {owner.public_key()};
  EXPECT_TRUE((*Bundle::Open(path))->VerifySignedBy(trusted).ok());
}

TEST(BundleSignatureTest, SignAddsAndReplaces) {
  const std::string path = WriteSmallBundle();
  const SigningKey first = TestKey(1);
  const SigningKey second = TestKey(2);
  ASSERT_TRUE(BundleWriter::Sign(path, first).ok());
  ASSERT_TRUE(BundleWriter::Sign(path, second).ok());
  ASSERT_TRUE(BundleWriter::Sign(path, first).ok());
  const auto bundle = *Bundle::Open(path);
  EXPECT_EQ(bundle->signer_key_ids().size(), 2u);
  for (const SigningKey* key : {&first, &second}) {
    const std::vector<PublicKey> trusted = {key->public_key()};
    EXPECT_TRUE(bundle->VerifySignedBy(trusted).ok());
  }
  EXPECT_EQ(AsText(bundle->Tensors()), kSmallTensors);
}

// A consistent file (all hashes right) whose header is not the one that was signed.
TEST(BundleSignatureTest, AHeaderAlteredAfterSigningIsRefused) {
  const SigningKey owner = TestKey(1);
  const std::string path = WriteSmallBundle(&owner);
  const std::string file = *ReadFile(path, 1 << 20);
  const auto old_header = *SignedHeaderBytes(AsBytes(file));
  const std::string blobs = file.substr(kBundlePrologueBytes + old_header.size());
  SignedBundleHeader signed_header = *wire::ParseSignedBundleHeader(old_header);
  BundleHeader header = *wire::ParseBundleHeader(AsBytes(signed_header.header));
  header.loss_method = "evil";
  signed_header.header = wire::SerializeBundleHeader(header);
  const std::string bytes = wire::SerializeSignedBundleHeader(signed_header);
  ASSERT_TRUE(
      WriteFileAtomic(path, BundlePrologue(static_cast<uint32_t>(bytes.size())) + bytes + blobs)
          .ok());

  const auto bundle = Bundle::Open(path);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const std::vector<PublicKey> trusted = {owner.public_key()};
  const absl::Status status = (*bundle)->VerifySignedBy(trusted);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("altered after key"));
}

}  // namespace
}  // namespace fedwatt
