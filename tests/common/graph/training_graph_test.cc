#include "common/graph/training_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/common/graph/small_graph.h"

namespace fedwatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Status ShapesOf(const SmallGraph& small) {
  return GraphShapes(small.graph, small.header).status();
}

TEST(TrainingGraph, IsReadAsItWasWritten) {
  const TrainingGraph graph = MakeSmallGraph().graph;
  const std::string bytes = SerializeTrainingGraph(graph);
  const auto read = ParseTrainingGraph(AsBytes(bytes));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, graph);
}

// The example of docs/portable.md, byte for byte: what was written once is read for ever.
TEST(TrainingGraph, HasTheBytesOfTheDocumentation) {
  const TrainingGraph graph{
      {{LayerKind::kLinear, "fc", {0}, {0, 1}, {}, {}}}, 1, 1, {LossKind::kCrossEntropy}};
  const std::string head("FWTGRAPH\x01\0\0\0\x01\x01\0\0\x9c\xff\xff\xff\xff\xff\xff\xff", 24);
  const std::string body("\x01\0\0\0\x01\0\0\0\x01\0\0\0", 12);
  const std::string layer(
      "\x01\x01\x02\0\0\x02"
      "fc"
      "\0\0\0\0"
      "\0\0\0\0"
      "\x01\0\0\0",
      20);
  EXPECT_EQ(SerializeTrainingGraph(graph), head + body + layer);
}

TEST(TrainingGraph, IsRefusedWhereverItIsCut) {
  const std::string bytes = SerializeTrainingGraph(MakeSmallGraph().graph);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto read = ParseTrainingGraph(AsBytes(std::string_view(bytes).substr(0, size)));
    ASSERT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  EXPECT_THAT(std::string(ParseTrainingGraph(AsBytes(bytes + "x")).status().message()),
              HasSubstr("1 bytes behind its last layer"));
}

TEST(TrainingGraph, OfANewerVersionAsksForAnUpgrade) {
  std::string bytes = SerializeTrainingGraph(MakeSmallGraph().graph);
  bytes[8] = 2;
  const auto read = ParseTrainingGraph(AsBytes(bytes));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("upgrade"));
}

struct Change {
  std::string what;
  std::function<void(SmallGraph*)> apply;
  std::string message;
};

TEST(TrainingGraph, IsRefusedForItsStructure) {
  const Change changes[] = {
      {"a layer takes its own result", [](SmallGraph* s) { s->graph.layers[2].inputs = {3}; },
       "layer 2 takes value 3, which comes later"},
      {"an unknown kind", [](SmallGraph* s) { s->graph.layers[2].kind = LayerKind{99}; },
       "layer kind 99 is unknown"},
      {"a number too many", [](SmallGraph* s) { s->graph.layers[2].ints = {1}; },
       "layer 2 (gelu) has 1 inputs, 0 tensors, 1 integers"},
      {"not a number",
       [](SmallGraph* s) {
         s->graph.layers[1].reals[0] = std::numeric_limits<double>::quiet_NaN();
       },
       "not finite"},
      {"no layers", [](SmallGraph* s) { s->graph.layers.clear(); }, "0 layers"},
      {"no such result", [](SmallGraph* s) { s->graph.output = 9; }, "no layer gives value 9"},
      {"the examples as result", [](SmallGraph* s) { s->graph.loss_input = 0; },
       "no layer gives value 0"},
      {"an unknown loss", [](SmallGraph* s) { s->graph.loss.kind = LossKind{6}; },
       "loss 6 is unknown"},
      {"an unknown reduction", [](SmallGraph* s) { s->graph.loss.reduction = LossReduction{0}; },
       "loss reduction 0 is unknown"},
  };
  for (const Change& change : changes) {
    SmallGraph small = MakeSmallGraph();
    change.apply(&small);
    const std::string bytes = SerializeTrainingGraph(small.graph);
    const auto read = ParseTrainingGraph(AsBytes(bytes));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << change.what;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(change.message)) << change.what;
  }
}

TEST(GraphShapes, FollowTheLayers) {
  const SmallGraph small = MakeSmallGraph();
  const auto shapes = GraphShapes(small.graph, small.header);
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  EXPECT_THAT((*shapes)[1], ElementsAre(4, 4, 4));
  EXPECT_THAT((*shapes)[6], ElementsAre(4, 2, 2));
  EXPECT_THAT((*shapes)[8], ElementsAre(3));
}

TEST(GraphShapes, RefuseWhatDoesNotFit) {
  using namespace graph_at;
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const auto number = [](size_t layer, size_t at, int64_t value) {
    return [=](SmallGraph* s) { s->graph.layers[layer].ints[at] = value; };
  };
  const auto tensor = [](size_t layer, size_t at, uint32_t value) {
    return [=](SmallGraph* s) { s->graph.layers[layer].tensors[at] = value; };
  };
  const Change changes[] = {
      {"a stride of 0", number(0, kStrideH, 0), "stride is 0; it must be 1 to"},
      {"a huge stride", number(0, kStrideW, kHuge), "stride is"},
      {"negative padding", number(0, kPadH, -1), "padding is -1"},
      {"huge padding", number(0, kPadH, kMaxGraphNumber), "sizes are 1 to"},
      {"a huge dilation", number(0, kDilationH, kMaxGraphNumber), "its kernel reaches over"},
      {"no groups", number(0, kGroups, 0), "groups is 0"},
      {"groups that do not divide", number(0, kGroups, 3), "in 3 groups"},
      {"a tensor that is not there", tensor(0, 0, 11), "names tensor 11 of 11"},
      {"a tensor that is missing", tensor(0, 0, kNoTensor), "names tensor"},
      {"a tensor of another shape", tensor(7, 1, 0), "tensor conv.weight is float32 [4, 1, 3, 3]"},
      {"a tensor of another type", tensor(1, 2, 10), "tensor bn.count is int64 []"},
      {"statistics that are trained", tensor(1, 2, 2), "bn.weight, which is trainable"},
      {"one tensor for both statistics", tensor(1, 3, 8), "one tensor for mean and variance"},
      {"a counter of floats", tensor(1, 4, 8), "is no int64 scalar"},
      {"a batch norm without statistics", tensor(1, 2, kNoTensor), "has one of mean and variance"},
      {"statistics of the batch in evaluation", number(1, kBatchStatsEval, 1),
       "keeps running statistics"},
      {"a window larger than the image", number(5, kPoolH, 5), "its kernel is larger"},
      {"padding of more than half a window", number(5, kPoolPadH, 2), "padding is 2"},
      {"groups of channels", number(3, 0, 3), "4 channels in 3 groups"},
      {"a reshape to another size", number(6, 0, 17), "takes shape [4, 2, 2], gives [17]"},
      {"a huge reshape", number(6, 0, kHuge), "size is"},
      {"unequal terms", [](SmallGraph* s) { s->graph.layers[4].inputs[1] = 0; },
       "adds shapes [4, 4, 4] and [2, 4, 4]"},
      {"words", [](SmallGraph* s) { s->header.input_dtype = DType::kI64; },
       "only an embedding can"},
      {"bytes", [](SmallGraph* s) { s->header.input_dtype = DType::kU8; }, "examples are uint8"},
      {"a regression", [](SmallGraph* s) { s->header.task = ModelTask::kRegression; },
       "loss of a classification"},
      {"scores that are images", [](SmallGraph* s) { s->graph.loss_input = 6; },
       "gives [3] and compares [4, 2, 2]"},
      {"huge examples",
       [](SmallGraph* s) {
         s->header.input_shape = {1 << 20, 1 << 20};
       },
       "at most"},
  };
  for (const Change& change : changes) {
    SmallGraph small = MakeSmallGraph();
    change.apply(&small);
    const absl::Status status = ShapesOf(small);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << change.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(change.message)) << change.what;
  }
}

TEST(GraphShapes, NameTheLayer) {
  SmallGraph small = MakeSmallGraph();
  small.graph.layers[5].ints[graph_at::kPoolStrideH] = 0;
  EXPECT_THAT(std::string(ShapesOf(small).message()),
              HasSubstr("training graph: layer 5 \"pool\" (max_pool2d): stride is 0"));
}

}  // namespace
}  // namespace fedwatt
