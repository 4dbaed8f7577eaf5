#include "client/datasets/formats.h"

#include <cstring>
#include <filesystem>

#include "common/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Formats : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "formats_" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(dir_);
    ASSERT_TRUE(EnsureDir(dir_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& name, const std::string& data) {
    ASSERT_TRUE(WriteFileAtomic(dir_ + "/" + name, data).ok());
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> Open(const std::string& rest) {
    return OpenDataset(*DatasetConfig::Parse("d=" + rest));
  }
  std::string ErrorOf(const std::string& rest) {
    const auto opened = Open(rest);
    return opened.ok() ? "no error" : std::string(opened.status().message());
  }

  std::string dir_;
};

std::string Idx(const std::vector<uint32_t>& dims, const std::string& data) {
  std::string out = {0, 0, 8, static_cast<char>(dims.size())};
  for (const uint32_t dim : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(dim >> shift));
  }
  return out + data;
}

template <typename T>
std::vector<T> As(const std::vector<uint8_t>& bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

TEST_F(Formats, IdxReadsPixelsAndLabels) {
  Write("train-images-idx3-ubyte", Idx({3, 1, 2}, {0, '\x7f', '\xff', 0, '\x33', '\x66'}));
  Write("train-labels-idx1-ubyte", Idx({3}, {7, 2, 9}));
  const auto data = Open("idx:" + dir_);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->input_shape(), ElementsAre(1, 1, 2));
  Batch batch;
  ASSERT_TRUE((*data)->Gather({2, 0}, &batch).ok());
  EXPECT_THAT(batch.x_shape, ElementsAre(2, 1, 1, 2));
  EXPECT_THAT(batch.y_shape, ElementsAre(2));
  EXPECT_THAT(As<float>(batch.x), ElementsAre(0.2f, 0.4f, 0.0f, 127 / 255.0f));
  EXPECT_THAT(As<int64_t>(batch.y), ElementsAre(9, 7));
  EXPECT_FALSE((*data)->Gather({3}, &batch).ok());
}

TEST_F(Formats, IdxNormalises) {
  Write("train-images-idx3-ubyte", Idx({1, 1, 1}, "\xff"));
  Write("train-labels-idx1-ubyte", Idx({1}, {1}));
  Batch batch;
  ASSERT_TRUE((*Open("idx:" + dir_ + "?mean=0.5&std=0.25"))->Gather({0}, &batch).ok());
  EXPECT_THAT(As<float>(batch.x), ElementsAre(2.0f));
}

TEST_F(Formats, IdxReadsTheDebianPackage) {
  const std::string base = "idx:/usr/share/datasets/fashion-mnist?partition=dirichlet&clients=8";
  const auto train = Open(base + "&client=7&examples=600");
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ((*train)->size(), 600u);
  EXPECT_THAT((*train)->input_shape(), ElementsAre(1, 28, 28));
  const auto test = Open("idx:/usr/share/datasets/fashion-mnist?split=test");
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ((*test)->size(), 10'000u);
  EXPECT_EQ((*test)->Labels()[0], 9) << "the first test image is an ankle boot";
}

TEST_F(Formats, IdxNamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("nor " + dir_ + "/train-labels-idx1-ubyte.gz"));
  Write("train-labels-idx1-ubyte", Idx({2}, {1, 2}));
  Write("train-images-idx3-ubyte", Idx({3, 1, 1}, {1, 2, 3}));
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("holds 3 images but"));
  Write("train-images-idx3-ubyte", Idx({2, 1, 1}, {1}));
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("ends 1 bytes too early"));
  Write("train-images-idx3-ubyte", Idx({2, 0xffffffff, 0xffffffff}, {1}));
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("dimension 1 is 4294967295"));
  Write("train-images-idx3-ubyte", "PNG!");
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("not an idx file"));
  Write("train-labels-idx1-ubyte", Idx({0xffffffff}, {1, 2}));
  EXPECT_THAT(ErrorOf("idx:" + dir_), HasSubstr("claims 4294967295 examples"));
  EXPECT_THAT(ErrorOf("idx:" + dir_ + "?split=validation"), HasSubstr("expected train or test"));
  EXPECT_THAT(ErrorOf("idx:" + dir_ + "?spit=test"), HasSubstr("did you mean \"split\""));
}

TEST_F(Formats, CsvReadsClassesAndTargets) {
  Write("t.csv", "a,kind,b\n1,0,2.5\n\n3,4,-1e3\r\n");
  const auto classes = Open("csv:" + dir_ + "/t.csv?label=kind");
  ASSERT_TRUE(classes.ok()) << classes.status();
  EXPECT_THAT((*classes)->Labels(), ElementsAre(0, 4));
  Batch batch;
  ASSERT_TRUE((*classes)->Gather({0, 1}, &batch).ok());
  EXPECT_THAT(As<float>(batch.x), ElementsAre(1, 2.5, 3, -1000));
  const auto targets = Open("csv:" + dir_ + "/t.csv?task=value");
  ASSERT_TRUE((*targets)->Gather({1}, &batch).ok());
  EXPECT_THAT(As<float>(batch.y), ElementsAre(-1000));
  EXPECT_THAT(batch.y_shape, ElementsAre(1, 1));
}

TEST_F(Formats, CsvNamesTheLine) {
  Write("t.csv", "a,b\n1,0\n1\n");
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv"), HasSubstr("t.csv:3: 1 cells; the header has 2"));
  Write("t.csv", "a,b\n1,x\n");
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv"), HasSubstr("t.csv:2: cell 2 is 'x'"));
  Write("t.csv", "a,b\n1,0.5\n");
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv"), HasSubstr("is no class number"));
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv?label=c"), HasSubstr("no column named 'c'"));
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/u.csv"), HasSubstr("u.csv"));
}

TEST_F(Formats, CsvWantsNamesInTheFirstRow) {
  Write("t.csv", "1.5,0\n2.5,1\n");
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv"),
              HasSubstr("t.csv:1: all cells are numbers; the first row must name the columns"));
  Write("t.csv", "1,kind\n2.5,1\n");
  const auto named = Open("csv:" + dir_ + "/t.csv");
  ASSERT_TRUE(named.ok()) << named.status() << ": a column may be called 1";
  EXPECT_THAT((*named)->Labels(), ElementsAre(1));
  Write("t.csv", "kind\n1\n");
  EXPECT_THAT(ErrorOf("csv:" + dir_ + "/t.csv"), HasSubstr("at least two column names"));
}

std::string Npy(const std::string& descr, const std::string& shape, const std::string& data) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize(118, ' ');
  std::string out = "\x93NUMPY";
  out.append({1, 0, 118, 0});
  return out + header + data;
}

TEST_F(Formats, NpyReadsArrays) {
  Write("x.npy", Npy("|u1", "2, 3", "abcdef"));
  Write("y.npy", Npy("|i1", "2,", std::string{5, '\xff'}));
  const auto data = Open("npy:" + dir_);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->Labels(), ElementsAre(5, -1));
  Batch batch;
  ASSERT_TRUE((*data)->Gather({1}, &batch).ok());
  EXPECT_EQ(batch.x_dtype, DType::kU8);
  EXPECT_THAT(batch.x, ElementsAre('d', 'e', 'f'));
}

TEST_F(Formats, NpyNamesWhatIsWrong) {
  Write("y.npy", Npy("|u1", "2,", "ab"));
  Write("x.npy", "nonsense, not an array");
  EXPECT_THAT(ErrorOf("npy:" + dir_), HasSubstr("not a .npy file"));
  Write("x.npy", Npy(">f4", "2,", "12345678"));
  EXPECT_THAT(ErrorOf("npy:" + dir_), HasSubstr("dtype '>f4' is not read"));
  Write("x.npy", Npy("|u1", "3,", "abc"));
  EXPECT_THAT(ErrorOf("npy:" + dir_), HasSubstr("holds 3 examples but"));
  Write("x.npy", Npy("|u1", "2, 99999999999999999", "abc"));
  EXPECT_THAT(ErrorOf("npy:" + dir_), HasSubstr("does not fit a file of"));
  Write("x.npy", Npy("|u1", "2, 5", "abc"));
  EXPECT_THAT(ErrorOf("npy:" + dir_), HasSubstr("needs 10 bytes of data, the file has 3"));
}

TEST_F(Formats, TextPredictsTheNextCharacterPerSpeaker) {
  Write("t.txt", "ROMEO:\nab cd\n\nJULIET:\nefghijk\n\nROMEO:\nlm\n");
  const auto data = Open("text:" + dir_ + "/t.txt?sequence=4");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->Owners(), ElementsAre("ROMEO", "ROMEO", "JULIET"));
  Batch batch;
  ASSERT_TRUE((*data)->Gather({0}, &batch).ok());
  const int64_t a = 2 + 'a' - 32;
  EXPECT_THAT(As<int64_t>(batch.x), ElementsAre(a, a + 1, 2, a + 2));
  EXPECT_THAT(As<int64_t>(batch.y), ElementsAre(a + 1, 2, a + 2, a + 3));
  const auto juliet = Open("text:" + dir_ + "/t.txt?sequence=4&partition=owner&clients=2&client=1");
  EXPECT_EQ((*juliet)->size(), 1u);
}

TEST_F(Formats, TextTooShortSaysSo) {
  Write("t.txt", "A:\nab\n");
  EXPECT_THAT(ErrorOf("text:" + dir_ + "/t.txt"), HasSubstr("no speaker says more than 80"));
}

}  // namespace
}  // namespace fedwatt
