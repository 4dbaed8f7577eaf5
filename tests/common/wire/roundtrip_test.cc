// ToProto(FromProto(m)) is m, for random messages with every field set.

#include "common/wire/admin_wire.h"
#include "common/wire/bundle_bytes.h"
#include "common/wire/client_wire.h"
#include "common/wire/energy_wire.h"
#include "common/wire/job_wire.h"
#include "common/wire/model_wire.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/common/wire/random_message.h"

namespace fedwatt {
namespace {

using google::protobuf::util::MessageDifferencer;

template <typename T>
const T& Value(const absl::StatusOr<T>& value) {
  return value.value();
}
const EnergySample& Value(const EnergySample& value) { return value; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}
absl::Status StatusOf(const EnergySample&) { return absl::OkStatus(); }

template <typename Message>
class RoundtripTest : public testing::Test {};

using Messages =
    testing::Types<v1::Manifest, v1::Artifact, v1::BundleHeader, v1::SignedBundleHeader,
                   v1::Resource, v1::ModelRef, v1::EnergySample, v1::Plan, v1::JobSpec,
                   v1::DatasetRef, v1::RoundKey, v1::Capabilities, v1::Holding, v1::CheckInRequest,
                   v1::Assignment, v1::Rejection, v1::OutcomeNotice, v1::CheckInResponse,
                   v1::LossSums, v1::UpdateMetrics, v1::ReportRequest, v1::ReportResponse,
                   v1::UploadStatusResponse, v1::EnergyTotal, v1::MetricSummary, v1::RoundSummary,
                   v1::Job>;

struct MessageName {
  template <typename Message>
  static std::string GetName(int) {
    return std::string(Message::descriptor()->name());
  }
};
TYPED_TEST_SUITE(RoundtripTest, Messages, MessageName);

// `parameters` is for people and computed from the manifest.
void DropDerived(v1::BundleHeader* header) { header->clear_parameters(); }
template <typename Message>
void DropDerived(Message*) {}

TYPED_TEST(RoundtripTest, KeepsEveryField) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    TypeParam message;
    RandomMessage(seed).Fill(&message);
    const auto value = wire::FromProto(message);
    ASSERT_TRUE(StatusOf(value).ok()) << StatusOf(value) << "\n" << message.DebugString();
    TypeParam back;
    wire::ToProto(Value(value), &back);
    DropDerived(&message);
    DropDerived(&back);
    std::string difference;
    MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    ASSERT_TRUE(differencer.Compare(message, back)) << difference;
  }
}

TEST(BundleBytesTest, HeadersKeepTheirBytes) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    v1::BundleHeader message;
    RandomMessage(seed).Fill(&message);
    const BundleHeader header = *wire::FromProto(message);
    const std::string bytes = wire::SerializeBundleHeader(header);
    const auto parsed = wire::ParseBundleHeader(AsBytes(bytes));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(wire::SerializeBundleHeader(*parsed), bytes);
  }
}

}  // namespace
}  // namespace fedwatt
