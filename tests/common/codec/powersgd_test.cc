#include <bit>
#include <cmath>
#include <memory>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/codec/codec.h"
#include "common/codec/powersgd_factors.h"
#include "common/codec/powersgd_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/codec/instruction_sets.h"

namespace fedwatt {
namespace {

using testing::HasSubstr;

std::vector<float> Gaussian(size_t n) {
  Rng rng(RngKey{"powersgd", 0, "", "gaussian", 1});
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.Normal());
  return values;
}

// A sum of `rank` outer products.
std::vector<float> LowRank(size_t rows, size_t columns, size_t rank) {
  const std::vector<float> p = Gaussian(rows * rank);
  const std::vector<float> q = Gaussian((columns + 7) * rank);
  std::vector<float> matrix(rows * columns);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      for (size_t k = 0; k < rank; ++k) {
        matrix[i * columns + j] += p[i * rank + k] * q[(j + 7) * rank + k];
      }
    }
  }
  return matrix;
}

double RelativeError(std::span<const float> a, std::span<const float> b) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(a[i]), 2);
  }
  return error / norm;
}

struct Coded {
  std::string bytes;
  std::vector<float> decoded;
};

Coded RoundTrip(const std::string& codec_text, const std::vector<float>& values,
                const std::vector<MatrixShape>& matrices) {
  const auto codec = *MakeCodec(codec_text);
  CodecContext context;
  context.matrices = matrices;
  Coded coded;
  const absl::Status status = codec->Encode(values, context, &coded.bytes);
  EXPECT_TRUE(status.ok()) << status;
  coded.decoded = *DecodeAll(*codec, AsBytes(coded.bytes), values.size());
  return coded;
}

TEST(PowerSgdTest, AMatrixOfTheRankComesBackToBFloat16) {
  for (const size_t rank : {1, 2, 3, 4, 5, 9}) {
    const std::vector<float> matrix = LowRank(61, 45, rank);
    const Coded coded = RoundTrip("powersgd:rank=" + std::to_string(rank), matrix, {{0, 61, 45}});
    EXPECT_LE(RelativeError(matrix, coded.decoded), 1e-5 * static_cast<double>(rank)) << rank;
    EXPECT_LE(coded.bytes.size(), 2 * rank * (61 + 45) + 6);
  }
}

TEST(PowerSgdTest, WhatIsNoMatrixComesBackAsItIs) {
  std::vector<float> values = Gaussian(7);
  const std::vector<float> first = LowRank(30, 20, 1);
  values.insert(values.end(), first.begin(), first.end());
  for (const float v : Gaussian(11)) values.push_back(v);
  const std::vector<float> second = LowRank(15, 40, 1);
  values.insert(values.end(), second.begin(), second.end());
  for (const float v : Gaussian(5)) values.push_back(v);
  const Coded coded = RoundTrip("powersgd:rank=2", values, {{7, 30, 20}, {618, 15, 40}});
  EXPECT_LE(RelativeError(values, coded.decoded), 3e-5);
  for (size_t i = 0; i < values.size(); ++i) {
    const bool inside = (i >= 7 && i < 607) || (i >= 618 && i < 1218);
    if (!inside) {
      EXPECT_EQ(coded.decoded[i], values[i]) << i;
    }
  }
}

TEST(PowerSgdTest, SmallMatricesComeBackAsTheyAre) {
  const std::vector<float> values = Gaussian(64);
  const Coded coded = RoundTrip("powersgd:rank=4", values, {{0, 8, 8}});
  EXPECT_EQ(coded.decoded, values);
  EXPECT_EQ(coded.bytes.size(), 2 + 64 * sizeof(float));
}

TEST(PowerSgdTest, AVectorWithoutMatricesIsOne) {
  const std::vector<float> values = LowRank(50, 50, 1);
  const Coded coded = RoundTrip("powersgd:rank=1", values, {});
  EXPECT_LE(RelativeError(values, coded.decoded), 3e-5);
  std::vector<float> more = values;  // 2513 = 50 x 50 + 13
  for (const float v : Gaussian(13)) more.push_back(v);
  const Coded rest = RoundTrip("powersgd:rank=1", more, {});
  EXPECT_LE(RelativeError(more, rest.decoded), 3e-5);
  EXPECT_EQ(rest.decoded.back(), more.back());
}

TEST(PowerSgdTest, MatricesThatOverlapOrReachOutAreRefused) {
  const auto codec = *MakeCodec("powersgd");
  const std::vector<float> values = Gaussian(2000);
  const std::vector<MatrixShape> bad[] = {{{0, 40, 40}, {1000, 20, 20}},
                                          {{1000, 20, 20}, {0, 20, 20}},
                                          {{0, 40, 51}},
                                          {{2001, 1, 1}},
                                          {{0, uint64_t{1} << 63, 4}},
                                          {{0, 0, 40}}};
  for (const auto& matrices : bad) {
    CodecContext context;
    context.matrices = matrices;
    std::string encoded;
    EXPECT_EQ(codec->Encode(values, context, &encoded).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(PowerSgdTest, BytesDependOnTheClientAndTheRound) {
  const auto codec = *MakeCodec("powersgd");
  const std::vector<float> values = Gaussian(2500);
  const auto encode = [&](const std::string& client, uint64_t round) {
    CodecContext context;
    context.client = client;
    context.round = round;
    std::string encoded;
    EXPECT_TRUE(codec->Encode(values, context, &encoded).ok());
    return encoded;
  };
  EXPECT_EQ(encode("a", 1), encode("a", 1));
  EXPECT_NE(encode("a", 1), encode("b", 1));
  EXPECT_NE(encode("a", 1), encode("a", 2));
}

TEST(PowerSgdTest, EveryInstructionSetGivesTheSameBits) {
  constexpr MatrixShape kShapes[] = {{0, 53, 47}, {0, 3, 1030}, {0, 1030, 5}};
  for (const MatrixShape& shape : kShapes) {
    const std::vector<float> values = Gaussian(shape.rows * shape.columns);
    const std::vector<MatrixShape> matrices = {shape};
    const Coded first = RoundTrip("powersgd:rank=2", values, matrices);
    EXPECT_LT(first.bytes.size(), values.size() * sizeof(float));
    ForEachInstructionSet([&](const char* name) {
      const Coded other = RoundTrip("powersgd:rank=2", values, matrices);
      EXPECT_EQ(other.bytes, first.bytes) << name;
      EXPECT_EQ(other.decoded, first.decoded) << name;
    });
  }
}

// Against sums in double precision.
TEST(PowerSgdTest, DecodesTheProductOfTheFactors) {
  const std::vector<float> values = Gaussian(40 * 33);
  const Coded coded = RoundTrip("powersgd:rank=3", values, {{0, 40, 33}});
  Rng rng(RngKey{"", 0, "", "codec.powersgd.up", 0});
  const Factors factors = FactorMatrix(values.data(), {40, 33, 3}, &rng);
  const auto as_float = [](uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  };
  for (size_t i = 0; i < 40; ++i) {
    for (size_t j = 0; j < 33; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 3; ++k) {
        sum += static_cast<double>(as_float(factors.p[k * 40 + i])) *
               static_cast<double>(as_float(factors.q[k * 33 + j]));
      }
      EXPECT_NEAR(coded.decoded[i * 33 + j], sum, 1e-6) << i << ", " << j;
    }
  }
}

absl::Status Read(const std::string& bytes, uint64_t coordinates) {
  return ReadPowerSgdLayout(AsBytes(bytes), coordinates).status();
}

void ExpectRefused(const absl::Status& status, const std::string& why) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(why));
}

TEST(PowerSgdLayoutTest, ListsThatCannotBeAreRefused) {
  const auto encoding = [](uint64_t rank, const std::vector<MatrixShape>& matrices, size_t data) {
    std::string bytes;
    AppendPowerSgdHeader(rank, matrices, &bytes);
    return bytes + std::string(data, '\0');
  };
  // 10 x 10 at rank 1: 40 bytes of factors; 4 coordinates behind it.
  EXPECT_TRUE(Read(encoding(1, {{0, 10, 10}}, 40 + 16), 104).ok());
  ExpectRefused(Read("", 104), "rank");
  ExpectRefused(Read(encoding(0, {}, 416), 104), "rank");
  ExpectRefused(Read(encoding(33, {}, 416), 104), "rank");
  ExpectRefused(Read(encoding(1, {{0, 10, 10}}, 40 + 15), 104), "cut off");
  ExpectRefused(Read(encoding(1, {{0, 10, 10}}, 40 + 17), 104), "left behind");
  ExpectRefused(Read(encoding(1, {{0, 10, 11}}, 42), 104), "10 x 11");
  ExpectRefused(Read(encoding(1, {{5, 10, 10}}, 60), 104), "from 5");
  ExpectRefused(Read(encoding(1, {{0, 2, 2}}, 8 + 400), 104), "2 x 2");  // larger factored
  ExpectRefused(Read(encoding(5, {{0, 10, 10}}, 216), 104), "10 x 10");
  ExpectRefused(Read(encoding(1, {{0, 0, 10}}, 416), 104), "0 x 10");
  ExpectRefused(Read(encoding(1, {{0, 10, 10}, {100, 10, 10}}, 80), 104), "from 100");
  ExpectRefused(Read(encoding(1, {{uint64_t{1} << 63, 10, 10}}, 416), 104), "larger");
}

TEST(PowerSgdLayoutTest, VastClaimsAreRefusedWithoutMemory) {
  std::string many(1, '\1');
  many += "\xff\xff\xff\xff\x0f";
  ExpectRefused(Read(many, uint64_t{1} << 40), "header");
  std::string vast;
  AppendPowerSgdHeader(1, std::vector<MatrixShape>{{0, uint64_t{1} << 20, uint64_t{1} << 20}},
                       &vast);
  ExpectRefused(Read(vast, uint64_t{1} << 40), "larger than the encoding");
}

TEST(PowerSgdSpecTest, RanksAreWholeAndBounded) {
  EXPECT_EQ((*MakeCodec("powersgd"))->spec().ToString(), "powersgd:rank=4");
  for (const std::string bad : {"0", "33", "1.5", "x"}) {
    ExpectRefused(MakeCodec("powersgd:rank=" + bad).status(), "rank");
  }
}

}  // namespace
}  // namespace fedwatt
