#include "common/crypto/revocation_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

CertificateInfo Certificate(const std::string& uri, char fill) {
  CertificateInfo info;
  info.san_uris = {uri};
  info.fingerprint = std::string(64, fill);
  return info;
}

TEST(RevocationList, AnIdentityIsRevokedWithAllItsCertificates) {
  RevocationList list;
  ASSERT_TRUE(list.Add("fedwatt://client/7").ok());
  EXPECT_TRUE(list.Contains(Certificate("fedwatt://client/7", 'a')));
  EXPECT_TRUE(list.Contains(Certificate("fedwatt://client/7", 'b')));
  EXPECT_TRUE(list.Contains(Identity{"client", "7"}));
  EXPECT_FALSE(list.Contains(Certificate("fedwatt://client/77", 'a')));
  EXPECT_FALSE(list.Contains(Identity{"operator", "7"}));
}

TEST(RevocationList, AFingerprintRevokesOneCertificate) {
  RevocationList list;
  ASSERT_TRUE(list.Add(std::string(64, 'A')).ok());  // case does not matter
  EXPECT_TRUE(list.Contains(Certificate("fedwatt://client/7", 'a')));
  EXPECT_FALSE(list.Contains(Certificate("fedwatt://client/7", 'b')));
}

TEST(RevocationList, FilesRoundTrip) {
  const TempDir dir;
  const std::string path = dir.File("revoked");
  RevocationList list;
  ASSERT_TRUE(list.Add("fedwatt://client/7").ok());
  ASSERT_TRUE(list.Add("fedwatt://client/7").ok());
  ASSERT_TRUE(list.Add(std::string(64, 'a')).ok());
  ASSERT_TRUE(list.Save(path).ok());
  const auto loaded = RevocationList::Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->size(), 2U);
  EXPECT_EQ(loaded->ToText(), list.ToText());
}

TEST(RevocationList, AMissingFileIsAnEmptyListAndABrokenOneIsNot) {
  const TempDir dir;
  EXPECT_EQ(RevocationList::Load(dir.File("absent"))->size(), 0U);
  ASSERT_TRUE(WriteFileAtomic(dir.File("broken"), "identity\n").ok());
  EXPECT_THAT(std::string(RevocationList::Load(dir.File("broken")).status().message()),
              HasSubstr("broken: line 1"));
}

TEST(RevocationList, AcceptsCommentsAndBlankLinesAndNamesABadLine) {
  const auto list =
      RevocationList::Parse("# stolen\n\n  identity   fedwatt://client/7  # since May\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->size(), 1U);
  EXPECT_THAT(std::string(RevocationList::Parse("\nfingerprint abc\n").status().message()),
              HasSubstr("line 2"));
  EXPECT_THAT(std::string(RevocationList::Parse("serial 5").status().message()),
              HasSubstr("line 1"));
}

TEST(RevocationList, RefusesWhatIsNeitherIdentityNorFingerprint) {
  RevocationList list;
  EXPECT_EQ(list.Add("client-7").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(list.size(), 0U);
}

}  // namespace
}  // namespace fedwatt
