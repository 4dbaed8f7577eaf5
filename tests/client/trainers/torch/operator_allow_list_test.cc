#include "client/trainers/torch/operator_allow_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(OperatorAllowListTest, AllowsWhatModelsAreMadeOf) {
  const OperatorAllowList list;
  for (const char* op : {"aten::conv2d", "aten::lstm", "aten::batch_norm", "aten::nll_loss",
                         "aten::reshape", "aten::__getitem__", "prim::If", "prim::Loop"}) {
    EXPECT_TRUE(list.Contains(op)) << op;
  }
}

TEST(OperatorAllowListTest, AllowsTheInPlaceFormOfAnAllowedOperator) {
  const OperatorAllowList list;
  EXPECT_TRUE(list.Contains("aten::relu_"));
  EXPECT_TRUE(list.Contains("aten::add_"));
  EXPECT_FALSE(list.Contains("prim::If_"));
}

TEST(OperatorAllowListTest, RefusesFilesForeignMemoryPythonAndTheUnknown) {
  const OperatorAllowList list;
  for (const char* op :
       {"aten::from_file", "aten::save", "aten::set_", "aten::set_data", "aten::resize_",
        "aten::as_strided", "aten::manual_seed", "prim::PythonOp", "prim::Print", "prim::fork",
        "prim::rpc_sync", "quantized::linear", "mylib::anything", "aten::tomorrows_operator",
        "class __torch__.torch.classes.Foo", "", "aten::", "_", "conv2d"}) {
    EXPECT_FALSE(list.Contains(op)) << op;
  }
}

TEST(OperatorAllowListTest, ExtraNamesAreAllowedAndNothingElse) {
  const OperatorAllowList list({"mylib::blur"});
  EXPECT_TRUE(list.Contains("mylib::blur"));
  EXPECT_FALSE(list.Contains("mylib::sharpen"));
}

TEST(OperatorAllowListTest, TheRefusalSaysWhatWhereWhyAndHowToAllow) {
  const absl::Status status = OperatorAllowList().Check("aten::save", "Net.forward");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("aten::save in method Net.forward"), HasSubstr("local file"),
                    HasSubstr("--allow-op aten::save")));
  EXPECT_TRUE(OperatorAllowList().Check("aten::add", "Net.forward").ok());
}

}  // namespace
}  // namespace fedwatt
