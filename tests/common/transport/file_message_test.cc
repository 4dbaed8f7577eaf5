#include "common/transport/file_message.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounds.h"
#include "common/transport/chunk_size.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

std::string Text(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(message.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

class MessageOverFileTest : public testing::Test {
 protected:
  MessageOverFileTest() {
    EXPECT_TRUE(WriteFileAtomic(dir_.File("f"), "0123456789").ok());
    file_ = std::make_shared<const MappedFile>(MappedFile::Open(dir_.File("f")).value());
  }
  TempDir dir_;
  std::shared_ptr<const MappedFile> file_;
};

TEST_F(MessageOverFileTest, IsPrefixThenBytesOfTheFile) {
  EXPECT_EQ(Text(MessageOverFile("head:", file_, 3, 4)), "head:3456");
  EXPECT_EQ(Text(MessageOverFile("head:", file_, 10, 0)), "head:");
}

TEST_F(MessageOverFileTest, KeepsTheMappingAsLongAsTheMessage) {
  {
    const grpc::ByteBuffer message =
        MessageOverFile("head of some length to be no inline slice", file_, 0, 10);
    EXPECT_EQ(file_.use_count(), 2);
    const std::weak_ptr<const MappedFile> weak = file_;
    file_.reset();
    EXPECT_FALSE(weak.expired());
    EXPECT_EQ(Text(message).substr(41), "0123456789");
  }
}

TEST(TransferChunkBytes, LosesLessThanATenthOfAnyBlobToACut) {
  EXPECT_EQ(TransferChunkBytes(uint64_t{40} << 20), bounds::kChunkBytes);
  for (const uint64_t blob : {uint64_t{1} << 20, uint64_t{6'640'000}, bounds::kMaxBlobBytes}) {
    EXPECT_LE(TransferChunkBytes(blob), bounds::kChunkBytes);
    EXPECT_LT(static_cast<double>(TransferChunkBytes(blob)), 0.1 * static_cast<double>(blob));
  }
  EXPECT_GE(TransferChunkBytes(1), 1U);
}

TEST(AppendFieldHeader, EncodesVarints) {
  const auto header = [](int field, uint64_t size) {
    std::string out;
    AppendFieldHeader(field, size, &out);
    return out;
  };
  EXPECT_EQ(header(3, 1), std::string("\x1a\x01"));
  EXPECT_EQ(header(3, 127), std::string("\x1a\x7f"));
  EXPECT_EQ(header(3, 128), std::string("\x1a\x80\x01"));
  EXPECT_EQ(header(16, 1 << 20), std::string("\x82\x01\x80\x80\x40"));
}

}  // namespace
}  // namespace fedwatt
