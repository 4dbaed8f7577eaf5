// A bundle file comes from strangers. Whatever its bytes, reading it ends with a bundle that is
// whole or with a clear error.

#include <functional>

#include "common/bundle/bundle.h"
#include "common/bundle/bundle_layout.h"
#include "common/wire/bundle_bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/bundle/small_bundle.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class BundleCorruptionTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = WriteSmallBundle();
    file_ = *ReadFile(path_, 1 << 20);
  }

  absl::Status OpenBytes(const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomic(path_, bytes).ok());
    return Bundle::Open(path_).status();
  }

  void ExpectError(const std::string& bytes, absl::StatusCode code, const std::string& text) {
    const absl::Status status = OpenBytes(bytes);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  }

  // The file with another header, and otherwise consistent.
  std::string WithHeader(const std::function<void(BundleHeader*, SignedBundleHeader*)>& change) {
    const auto old_header = *SignedHeaderBytes(AsBytes(file_));
    const std::string blobs = file_.substr(kBundlePrologueBytes + old_header.size());
    SignedBundleHeader signed_header = *wire::ParseSignedBundleHeader(old_header);
    BundleHeader header = *wire::ParseBundleHeader(AsBytes(signed_header.header));
    change(&header, &signed_header);
    signed_header.header = wire::SerializeBundleHeader(header);
    const std::string bytes = wire::SerializeSignedBundleHeader(signed_header);
    return BundlePrologue(static_cast<uint32_t>(bytes.size())) + bytes + blobs;
  }

  std::string path_;
  std::string file_;
};

TEST_F(BundleCorruptionTest, NotABundle) {
  ExpectError("", absl::StatusCode::kInvalidArgument, "not a bundle");
  ExpectError("PK\x03\x04 a zip archive", absl::StatusCode::kInvalidArgument, "not a bundle");
}

TEST_F(BundleCorruptionTest, FromANewerVersion) {
  std::string newer = file_;
  newer[kBundleMagicBytes] = 2;
  ExpectError(newer, absl::StatusCode::kFailedPrecondition, "bundle version 2: this fedwatt reads");
  std::string zero = file_;
  zero[kBundleMagicBytes] = 0;
  ExpectError(zero, absl::StatusCode::kDataLoss, "bundle version 0 does not exist");
}

TEST_F(BundleCorruptionTest, AHugeHeaderIsNotAllocated) {
  std::string huge = file_;
  huge.replace(kBundleMagicBytes + 4, 4, "\xff\xff\xff\xff");
  ExpectError(huge, absl::StatusCode::kDataLoss, "a header of 4294967295 bytes");
}

TEST_F(BundleCorruptionTest, TruncatedAnywhere) {
  for (size_t length = 0; length < file_.size(); ++length) {
    const absl::Status status = OpenBytes(file_.substr(0, length));
    const bool prologue = length < kBundleMagicBytes;
    EXPECT_EQ(status.code(),
              prologue ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kDataLoss)
        << length << " " << status;
  }
  ExpectError(file_.substr(0, file_.size() - 1), absl::StatusCode::kDataLoss, "truncated");
}

TEST_F(BundleCorruptionTest, TrailingBytes) {
  ExpectError(file_ + "abc", absl::StatusCode::kDataLoss, "3 unexpected bytes behind");
}

TEST_F(BundleCorruptionTest, WrongHashes) {
  std::string tensors = file_;
  tensors.back() ^= 1;
  ExpectError(tensors, absl::StatusCode::kDataLoss, "the tensors do not have the declared hash");
  std::string graph = file_;
  graph[graph.find(kSmallGraph)] ^= 1;
  ExpectError(graph, absl::StatusCode::kDataLoss,
              "the torchscript artifact does not have the hash");
}

TEST_F(BundleCorruptionTest, OverlappingOversizedAndScatteredParts) {
  ExpectError(WithHeader([](BundleHeader*, SignedBundleHeader* s) { s->tensors.offset = 0; }),
              absl::StatusCode::kDataLoss, "the tensors at offset 0 overlaps");
  ExpectError(WithHeader([](BundleHeader*, SignedBundleHeader* s) { s->tensors.offset += 1; }),
              absl::StatusCode::kDataLoss, "leaves a gap");
  ExpectError(WithHeader([](BundleHeader* h, SignedBundleHeader*) { h->artifacts[0].size = 1000; }),
              absl::StatusCode::kDataLoss, "reaches beyond the 51 bytes");
  ExpectError(WithHeader([](BundleHeader* h, SignedBundleHeader*) { h->artifacts[0].offset = 9; }),
              absl::StatusCode::kDataLoss, "leaves a gap");
  ExpectError(
      WithHeader([](BundleHeader* h, SignedBundleHeader*) { h->artifacts[0].size = ~uint64_t{0}; }),
      absl::StatusCode::kInvalidArgument, "artifact.size = 18446744073709551615");
  ExpectError(WithHeader([](BundleHeader*, SignedBundleHeader* s) { s->tensors.size -= 4; }),
              absl::StatusCode::kInvalidArgument,
              "20 bytes, the manifest of \"small\" asks for 24");
}

TEST_F(BundleCorruptionTest, HugeCountsInTheHeader) {
  ExpectError(WithHeader([](BundleHeader* h, SignedBundleHeader*) {
                h->artifacts.assign(17, h->artifacts[0]);
              }),
              absl::StatusCode::kInvalidArgument, "number of artifacts = 17");
  ExpectError(WithHeader([](BundleHeader*, SignedBundleHeader* s) {
                s->signatures.assign(17, {"key", std::string(64, 'x')});
              }),
              absl::StatusCode::kInvalidArgument, "number of signatures = 17");
  ExpectError(WithHeader([](BundleHeader*, SignedBundleHeader* s) {
                s->signatures = {{"key", "short"}};
              }),
              absl::StatusCode::kInvalidArgument, "has 5 bytes: Ed25519's have 64");
}

// Every byte of the file set to a few values: never a crash, and never another model in silence.
TEST_F(BundleCorruptionTest, AnyChangedByte) {
  for (size_t i = 0; i < file_.size(); ++i) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string bytes = file_;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      ASSERT_TRUE(WriteFileAtomic(path_, bytes).ok());
      const auto bundle = Bundle::Open(path_);
      if (!bundle.ok()) continue;
      const bool same_tensors = AsText((*bundle)->Tensors()) == kSmallTensors;
      const bool same_graph =
          AsText((*bundle)->ArtifactData((*bundle)->header().artifacts[0])) == kSmallGraph;
      // A header with another name still opens, but its signature would not fit any more.
      EXPECT_TRUE(same_tensors && same_graph) << "byte " << i;
    }
  }
}

}  // namespace
}  // namespace fedwatt
