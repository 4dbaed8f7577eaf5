#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/bounds.h"
#include "common/transport/chunk_size.h"
#include "server/driver/grpc_adapter/file_stream.h"
#include "tests/server/grpc/calls.h"
#include "tests/server/grpc/test_server.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

struct Downloaded {
  std::vector<v1::DownloadChunk> chunks;
  grpc::Status status;

  std::string Data() const {
    std::string data;
    for (const auto& chunk : chunks) data += chunk.data();
    return data;
  }
};

Downloaded Download(TestServer& server, const std::string& sha256, uint64_t offset) {
  const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
  v1::DownloadRequest request;
  request.set_sha256(sha256);
  request.set_offset(offset);
  const auto context = NewContext();
  const auto reader = stub->Download(context.get(), request);
  Downloaded result;
  v1::DownloadChunk chunk;
  while (reader->Read(&chunk)) result.chunks.push_back(chunk);
  result.status = reader->Finish();
  return result;
}

std::string Publish(TestServer& server, const std::string& data) {
  const std::string path = server.data_dir() + "/blob";
  EXPECT_TRUE(WriteFileAtomic(path, data).ok());
  server.coordinator().AddBlob(Sha256Of(AsBytes(data)), path);
  return DigestBytes(data);
}

TEST(Download, CutsABlobIntoChunks) {
  TestServer server;
  const std::string data = Pattern(2 * bounds::kChunkBytes + 12'345);
  const uint64_t chunk_bytes = TransferChunkBytes(data.size());
  const Downloaded got = Download(server, Publish(server, data), 0);
  ASSERT_TRUE(got.status.ok()) << got.status.error_message();
  ASSERT_EQ(got.chunks.size(), data.size() / chunk_bytes + 1);
  EXPECT_EQ(got.chunks[1].offset(), chunk_bytes);
  EXPECT_EQ(got.chunks[1].total(), data.size());
  EXPECT_EQ(got.chunks.back().data().size(), data.size() % chunk_bytes);
  EXPECT_TRUE(got.Data() == data);
}

TEST(Download, GoesOnWhereThePeerStopped) {
  TestServer server;
  const std::string data = Pattern(3'000'000);
  const Downloaded got = Download(server, Publish(server, data), 2'700'000);
  ASSERT_TRUE(got.status.ok());
  EXPECT_EQ(got.chunks.at(0).offset(), 2'700'000U);
  EXPECT_TRUE(got.Data() == data.substr(2'700'000));
}

TEST(Download, AtTheEndTellsTheTotal) {
  TestServer server;
  const std::string data = Pattern(1000);
  const Downloaded got = Download(server, Publish(server, data), 1000);
  ASSERT_TRUE(got.status.ok());
  ASSERT_EQ(got.chunks.size(), 1U);
  EXPECT_EQ(got.chunks[0].total(), 1000U);
  EXPECT_EQ(got.Data(), "");
}

TEST(Download, BeyondTheEndIsRefused) {
  TestServer server;
  const Downloaded got = Download(server, Publish(server, Pattern(1000)), 1001);
  EXPECT_EQ(got.status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(got.status.error_message(), HasSubstr("1000 bytes"));
}

TEST(Download, OfAnUnknownBlobIsTheCoordinatorsRefusal) {
  TestServer server;
  const Downloaded got = Download(server, DigestBytes("nothing"), 0);
  EXPECT_EQ(got.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST(Download, AHashMustHave32Bytes) {
  TestServer server;
  EXPECT_EQ(Download(server, "short", 0).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Download, APeerThatLeavesHarmsNobody) {
  TestServer server;
  const std::string data = Pattern(16'000'000);
  const std::string sha256 = Publish(server, data);
  {
    const auto stub = v1::ClientService::NewStub(server.InsecureChannel());
    v1::DownloadRequest request;
    request.set_sha256(sha256);
    const auto context = NewContext();
    const auto reader = stub->Download(context.get(), request);
    v1::DownloadChunk chunk;
    ASSERT_TRUE(reader->Read(&chunk));
    context->TryCancel();
    EXPECT_FALSE(reader->Finish().ok());
  }
  EXPECT_TRUE(Download(server, sha256, 0).Data() == data);
}

TEST(EncodeDownloadChunk, IsWhatProtobufWouldWrite) {
  TestServer server;
  const std::string data = Pattern(300'000);
  Publish(server, data);
  const auto file =
      std::make_shared<const MappedFile>(MappedFile::Open(server.data_dir() + "/blob").value());
  for (const auto& [offset, size] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0, 1}, {5, 127}, {5, 128}, {7, 200'000}, {300'000, 0}}) {
    v1::DownloadChunk expected;
    expected.set_offset(offset);
    expected.set_total(data.size());
    expected.set_data(data.substr(offset, size));
    grpc::Slice bytes;
    ASSERT_TRUE(EncodeDownloadChunk(file, offset, size).DumpToSingleSlice(&bytes).ok());
    EXPECT_TRUE(expected.SerializeAsString() ==
                std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size()))
        << offset << " " << size;
  }
}

}  // namespace
}  // namespace fedwatt
