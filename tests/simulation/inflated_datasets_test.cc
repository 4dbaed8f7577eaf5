#include "simulation/inflated_datasets.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

class InflatedDatasetsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(EnsureDir(dir_.File("data"), 0700).ok()); }

  // Four grey images of 1x1 with labels 0 to 3.
  void WriteData(bool zipped) {
    const std::string images =
        std::string("\0\0\x08\x03\0\0\0\x04\0\0\0\x01\0\0\0\x01", 16) + "abcd";
    const std::string labels = std::string("\0\0\x08\x01\0\0\0\x04\0\x01\x02\x03", 12);
    Write("train-images-idx3-ubyte", images, zipped);
    Write("train-labels-idx1-ubyte", labels, zipped);
  }

  void Write(const std::string& name, const std::string& bytes, bool zipped) {
    const std::string path = dir_.File("data/" + name);
    if (!zipped) {
      ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
      return;
    }
    gzFile file = gzopen((path + ".gz").c_str(), "wb");
    ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
              static_cast<int>(bytes.size()));
    ASSERT_EQ(gzclose(file), Z_OK);
  }

  DatasetConfig Config(const std::string& format = "idx") const {
    return {"d", format, dir_.File("data"), {{"partition", "iid"}, {"clients", "2"}}};
  }

  TempDir dir_;
  InflatedDatasets inflated_{dir_.File("inflated")};
};

Batch All(const DatasetConfig& config) {
  const auto dataset = OpenDataset(config);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  if (!dataset.ok()) return {};
  std::vector<uint64_t> indices((*dataset)->size());
  for (uint64_t i = 0; i < indices.size(); ++i) indices[i] = i;
  Batch batch;
  EXPECT_TRUE((*dataset)->Gather(indices, &batch).ok());
  return batch;
}

TEST_F(InflatedDatasetsTest, ItIsTheSameData) {
  WriteData(true);
  for (const char* client : {"0", "1"}) {
    DatasetConfig config = Config();
    config.options["client"] = client;
    const DatasetConfig other = inflated_.Of(config);
    EXPECT_NE(other.path, config.path);
    EXPECT_TRUE(FileExists(other.path + "/train-images-idx3-ubyte"));
    EXPECT_EQ(other.options, config.options);
    EXPECT_EQ(All(other).n, 2);
    EXPECT_EQ(All(other).x, All(config).x);
    EXPECT_EQ(All(other).y, All(config).y);
  }
}

TEST_F(InflatedDatasetsTest, IsInflatedOnce) {
  WriteData(true);
  const DatasetConfig first = inflated_.Of(Config());
  std::filesystem::remove_all(dir_.File("data"));
  EXPECT_EQ(inflated_.Of(Config()).path, first.path);
}

TEST_F(InflatedDatasetsTest, WhatIsNotCompressedStaysWhereItIs) {
  WriteData(false);
  EXPECT_EQ(inflated_.Of(Config()).path, Config().path);
  EXPECT_FALSE(FileExists(dir_.File("inflated/0")));
}

TEST_F(InflatedDatasetsTest, OtherFormatsStayWhereTheyAre) {
  WriteData(true);
  EXPECT_EQ(inflated_.Of(Config("csv")).path, Config().path);
}

TEST_F(InflatedDatasetsTest, ACutFileIsLeftToWhoeverOpensIt) {
  WriteData(true);
  const std::string path = dir_.File("data/train-images-idx3-ubyte.gz");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 9);
  DatasetConfig config = Config();
  config.options["client"] = "0";
  EXPECT_EQ(inflated_.Of(config).path, config.path);
  EXPECT_FALSE(FileExists(dir_.File("inflated/0")));
}

}  // namespace
}  // namespace fedwatt
