// What a peer may not send. Each case spoils one field of a message that is otherwise fine.

#include <functional>
#include <limits>

#include "common/base/rng.h"
#include "common/wire/admin_wire.h"
#include "common/wire/bundle_bytes.h"
#include "common/wire/client_wire.h"
#include "common/wire/job_wire.h"
#include "common/wire/model_wire.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/wire/random_message.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr uint64_t kMaxU64 = std::numeric_limits<uint64_t>::max();

template <typename Message>
void ExpectRefused(const std::string& text, const std::function<void(Message*)>& spoil) {
  Message message;
  RandomMessage(1).Fill(&message);
  ASSERT_TRUE(wire::FromProto(message).ok()) << wire::FromProto(message).status();
  spoil(&message);
  const auto value = wire::FromProto(message);
  EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(value.status().message()), HasSubstr(text));
}

TEST(HostileReportTest, IdsTextsAndDigestsAreBounded) {
  using R = v1::ReportRequest;
  ExpectRefused<R>("assignment_id = \"\": is not an id", [](R* r) { r->clear_assignment_id(); });
  ExpectRefused<R>("assignment_id = \"a b\"", [](R* r) { r->set_assignment_id("a b"); });
  ExpectRefused<R>("assignment_id", [](R* r) { r->set_assignment_id(std::string(129, 'x')); });
  ExpectRefused<R>("error = ", [](R* r) { r->set_error(std::string(1025, 'x')); });
  ExpectRefused<R>("must not contain control characters", [](R* r) { r->set_error("a\x1b[2J"); });
  ExpectRefused<R>("base_sha256 has 31 bytes",
                   [](R* r) { r->set_base_sha256(std::string(31, 'x')); });
  ExpectRefused<R>("status = 0", [](R* r) { r->clear_status(); });
  ExpectRefused<R>("status = 44", [](R* r) { r->set_status(v1::ReportStatus(44)); });
}

TEST(HostileReportTest, WeightsAndMetricsAreBounded) {
  using R = v1::ReportRequest;
  ExpectRefused<R>("weight = 1000000000000000000: must be at most 1073741824",
                   [](R* r) { r->set_weight(1'000'000'000'000'000'000); });
  ExpectRefused<R>("metrics.before: loss_sum = nan",
                   [](R* r) { r->mutable_metrics()->mutable_before()->set_loss_sum(kNan); });
  ExpectRefused<R>("metrics.after: loss_sq_sum = -1",
                   [](R* r) { r->mutable_metrics()->mutable_after()->set_loss_sq_sum(-1); });
  ExpectRefused<R>("metrics.after: correct = 31: must be at most 30",
                   [](R* r) { r->mutable_metrics()->mutable_after()->set_correct(31); });
  ExpectRefused<R>("metrics.examples = 18446744073709551615",
                   [](R* r) { r->mutable_metrics()->set_examples(kMaxU64); });
  ExpectRefused<R>("metrics.seconds_by_phase.train = -1",
                   [](R* r) { (*r->mutable_metrics()->mutable_seconds_by_phase())["train"] = -1; });
  ExpectRefused<R>("metrics.named.auc = inf",
                   [](R* r) { (*r->mutable_metrics()->mutable_named())["auc"] = kInf; });
  ExpectRefused<R>("number of entries in metrics.named = 6", [](R* r) {
    for (int i = 0; i < 65; ++i) (*r->mutable_metrics()->mutable_named())[std::to_string(i)] = 1;
  });
  ExpectRefused<R>("number of energy samples = 65", [](R* r) {
    r->clear_energy();
    for (int i = 0; i < 65; ++i) r->add_energy();
  });
}

TEST(HostileResourceTest, InlineDataMustBeWhatTheyClaim) {
  using R = v1::Resource;
  const auto inlined = [](R* r, const std::string& data) {
    r->set_inline_data(data);
    r->set_size(data.size());
    const Digest digest = Sha256Of(AsBytes(data));
    r->set_sha256(std::string(digest.begin(), digest.end()));
  };
  ExpectRefused<R>("has 4 bytes, resource.size says 5", [&](R* r) {
    inlined(r, "data");
    r->set_size(5);
  });
  ExpectRefused<R>("does not have the declared sha256", [&](R* r) {
    inlined(r, "data");
    r->set_inline_data("dat\x01");
  });
  ExpectRefused<R>("bytes of resource.inline_data = 262145: must be at most 262144",
                   [&](R* r) { inlined(r, std::string(262145, 'x')); });
  ExpectRefused<R>("resource.size = 18446744073709551615", [](R* r) { r->set_size(kMaxU64); });
  ExpectRefused<R>("has no sha256", [](R* r) { r->clear_sha256(); });
  ExpectRefused<R>("resource.uri", [](R* r) { r->set_uri(std::string(2049, 'x')); });
}

TEST(HostileCheckInTest, TelemetryIsThreeBits) {
  using C = v1::CheckInRequest;
  ExpectRefused<C>("telemetry.charge = 8: must be at most 7",
                   [](C* c) { c->mutable_telemetry()->set_charge(8); });
  ExpectRefused<C>("telemetry.capacity = 3600",
                   [](C* c) { c->mutable_telemetry()->set_capacity(3600); });
  ExpectRefused<C>("telemetry.link = 4294967295",
                   [](C* c) { c->mutable_telemetry()->set_link(UINT32_MAX); });
  ExpectRefused<C>("telemetry.loss = 8", [](C* c) { c->mutable_telemetry()->set_loss(8); });
}

TEST(HostileCheckInTest, WithoutConsentTelemetryIsNeitherSentNorKept) {
  v1::CheckInRequest message;
  RandomMessage(1).Fill(&message);
  ASSERT_TRUE(message.has_telemetry() && message.has_costs());
  CheckInRequest willing = *wire::FromProto(message);
  EXPECT_NE(willing.telemetry, DeviceTelemetry());
  message.set_telemetry_level(0);
  const auto kept = wire::FromProto(message);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->telemetry, DeviceTelemetry());
  EXPECT_FALSE(kept->costs.train_joules || kept->costs.up_bytes_per_s);
  willing.telemetry_level = 0;
  v1::CheckInRequest sent;
  wire::ToProto(willing, &sent);
  EXPECT_FALSE(sent.has_telemetry() || sent.has_costs());
}

TEST(HostileCheckInTest, OffersAreBounded) {
  using C = v1::CheckInRequest;
  ExpectRefused<C>("protocol_min = 0", [](C* c) { c->set_protocol_min(0); });
  ExpectRefused<C>("protocol_max = 0: must be at least", [](C* c) { c->set_protocol_max(0); });
  ExpectRefused<C>("tenant = \"\"", [](C* c) { c->clear_tenant(); });
  ExpectRefused<C>("population = \"../other\"", [](C* c) { c->set_population("../other"); });
  ExpectRefused<C>("role = \"operator\": who checks in must be",
                   [](C* c) { c->set_role("operator"); });
  ExpectRefused<C>("max_wait_ms = -1", [](C* c) { c->set_max_wait_ms(-1); });
  ExpectRefused<C>("number of trainers = 65", [](C* c) {
    c->mutable_capabilities()->clear_trainers();
    for (int i = 0; i < 65; ++i) c->mutable_capabilities()->add_trainers("t");
  });
  ExpectRefused<C>("number of labels = 6", [](C* c) {
    for (int i = 0; i < 65; ++i) {
      (*c->mutable_capabilities()->mutable_labels())[std::to_string(i)] = "x";
    }
  });
  ExpectRefused<C>("number of datasets = 65", [](C* c) {
    c->clear_datasets();
    for (int i = 0; i < 65; ++i) c->add_datasets();
  });
  ExpectRefused<C>("number of held assignments = 65", [](C* c) {
    c->clear_holding();
    for (int i = 0; i < 65; ++i) c->add_holding();
  });
  ExpectRefused<C>("stage = 0", [](C* c) { c->add_holding()->set_assignment_id("a"); });
  ExpectRefused<C>("example_count_bucket = 65",
                   [](C* c) { c->add_datasets()->set_example_count_bucket(65); });
}

TEST(HostileAssignmentTest, AClientChecksItsCoordinatorToo) {
  using A = v1::Assignment;
  ExpectRefused<A>("assignment.id = \"\"", [](A* a) { a->clear_id(); });
  ExpectRefused<A>("assignment.key.job", [](A* a) { a->mutable_key()->clear_job(); });
  ExpectRefused<A>("assignment.kind = 0", [](A* a) { a->clear_kind(); });
  ExpectRefused<A>("assignment.time_left_ms = -1", [](A* a) { a->set_time_left_ms(-1); });
  ExpectRefused<A>("assignment.weight_multiplier = nan",
                   [](A* a) { a->set_weight_multiplier(kNan); });
  ExpectRefused<A>("assignment.max_abs_delta = inf", [](A* a) { a->set_max_abs_delta(kInf); });
  ExpectRefused<A>("assignment.max_upload_bytes = 18446744073709551615",
                   [](A* a) { a->set_max_upload_bytes(kMaxU64); });
  ExpectRefused<A>("assignment.aggregation_mode = 9",
                   [](A* a) { a->set_aggregation_mode(v1::AggregationMode(9)); });
  ExpectRefused<A>("plan.batch_size = 0", [](A* a) { a->mutable_plan()->set_batch_size(0); });
  ExpectRefused<A>("model sha256 has 3 bytes", [](A* a) { a->mutable_base()->set_sha256("abc"); });
}

TEST(HostileResponseTest, NoticesAndWaitsAreBounded) {
  using C = v1::CheckInResponse;
  ExpectRefused<C>("protocol = 0", [](C* c) { c->set_protocol(0); });
  ExpectRefused<C>("outcome = 7", [](C* c) {
    c->add_outcomes()->set_assignment_id("a");
    c->mutable_outcomes(c->outcomes_size() - 1)->set_outcome(v1::Outcome(7));
  });
  ExpectRefused<C>("rejection.retry_after_ms = -5",
                   [](C* c) { c->mutable_rejection()->set_retry_after_ms(-5); });
  ExpectRefused<C>("forward.address", [](C* c) { c->mutable_forward()->clear_address(); });
  using R = v1::ReportResponse;
  ExpectRefused<R>("retry_after_ms = 9223372036854775807",
                   [](R* r) { r->set_retry_after_ms(std::numeric_limits<int64_t>::max()); });
  using U = v1::UploadStatusResponse;
  ExpectRefused<U>("offset = 18446744073709551615", [](U* u) { u->set_offset(kMaxU64); });
}

TEST(HostileModelTest, ShapesAndNamesAreBounded) {
  using M = v1::Manifest;
  ExpectRefused<M>("dimensions of a tensor = 9", [](M* m) {
    v1::TensorSpec* tensor = m->add_tensors();
    tensor->set_dtype(v1::DTYPE_F32);
    tensor->set_role(v1::TENSOR_ROLE_BUFFER);
    for (int i = 0; i < 9; ++i) tensor->add_shape(1);
  });
  ExpectRefused<M>("tensor dtype = 99", [](M* m) { m->add_tensors()->set_dtype(v1::DType(99)); });
  using B = v1::BundleHeader;
  ExpectRefused<B>("input_shape = -3", [](B* b) { b->add_input_shape(-3); });
  ExpectRefused<B>("forward_method", [](B* b) { b->set_forward_method("a;b"); });
  ExpectRefused<B>("task = 0", [](B* b) { b->clear_task(); });
  v1::BundleHeader newer;
  newer.set_format_version(2);
  EXPECT_EQ(wire::FromProto(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(HostileAdminTest, FiguresAreChecked) {
  using J = v1::Job;
  ExpectRefused<J>("job state = 0", [](J* j) { j->clear_state(); });
  ExpectRefused<J>("best_metric = nan", [](J* j) { j->set_best_metric(kNan); });
  ExpectRefused<J>("round.goal = 0", [](J* j) { j->mutable_spec()->mutable_round()->set_goal(0); });
  ExpectRefused<J>("useful_uj = -1", [](J* j) {
    v1::EnergyTotal* total = j->add_energy();
    total->set_quality(v1::ENERGY_QUALITY_MEASURED);
    total->set_scope(v1::ENERGY_SCOPE_BOARD);
    total->set_useful_uj(-1);
  });
  ExpectRefused<J>("accuracy = 2",
                   [](J* j) { j->mutable_current()->mutable_train_after()->set_accuracy(2); });
}

TEST(HostileBytesTest, RandomBytesNeverCrash) {
  Rng rng(RngKey{"wire", 0, "", "fuzz", 1});
  v1::BundleHeader message;
  RandomMessage(3).Fill(&message);
  const std::string good = wire::SerializeBundleHeader(*wire::FromProto(message));
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 1 + i % 4; ++k) {
      bytes[rng.UniformInt(bytes.size())] = static_cast<char>(rng.NextU32());
    }
    if (i % 5 == 0) bytes.resize(rng.UniformInt(bytes.size()));
    if (!wire::ParseBundleHeader(AsBytes(bytes)).ok()) ++refused;
    v1::ReportRequest request;
    if (request.ParseFromString(bytes)) (void)wire::FromProto(request);
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace fedwatt
