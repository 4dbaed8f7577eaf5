#include "common/wire/message_json.h"

#include "fedwatt/v1/admin_service.pb.h"
#include "fedwatt/v1/job.pb.h"
#include "gtest/gtest.h"

namespace fedwatt::wire {
namespace {

TEST(MessageJsonTest, SpellsThingsAsJobFilesDo) {
  v1::Plan plan;
  plan.mutable_optimizer()->set_kind(v1::OPTIMIZER_KIND_ADAMW);
  plan.set_seed(18446744073709551615u);
  plan.add_frozen("a.*");
  EXPECT_EQ(MessageToJson(plan, -1),
            R"({"min_sdk":"","expires_after_ms":0,"optimizer":{"kind":"adamw","momentum":0.0,)"
            R"("weight_decay":0.0,"nesterov":false},"local_steps":0,"clip_grad_norm":0.0,)"
            R"("proximal_mu":0.0,"frozen":["a.*"],"buffers":"unspecified",)"
            R"("local_evaluation":"unspecified","local_evaluation_examples":0,)"
            R"("weight_by":"unspecified","memory_limit_bytes":0,"max_examples":0,)"
            R"("seed":18446744073709551615})");
}

TEST(MessageJsonTest, MapsAreSortedAndAbsentFieldsLeftOut) {
  v1::MetricSummary summary;
  (*summary.mutable_named())["b"] = 2;
  (*summary.mutable_named())["a"] = 1;
  EXPECT_EQ(MessageToJson(summary, -1), R"({"examples":0,"named":{"a":1.0,"b":2.0}})");
  summary.set_loss(0);
  EXPECT_EQ(MessageToJson(summary, -1), R"({"examples":0,"loss":0.0,"named":{"a":1.0,"b":2.0}})");
}

TEST(MessageJsonTest, BytesAreHexAndUnknownEnumsNumbers) {
  v1::EnergyTotal total;
  total.set_quality(static_cast<v1::EnergyQuality>(99));
  EXPECT_NE(MessageToJson(total, -1).find(R"("quality":99)"), std::string::npos);
  v1::ModelRef ref;
  ref.set_sha256("\x01\xab");
  EXPECT_NE(MessageToJson(ref, -1).find(R"("sha256":"01ab")"), std::string::npos);
}

}  // namespace
}  // namespace fedwatt::wire
