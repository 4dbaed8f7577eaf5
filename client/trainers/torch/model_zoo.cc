#include "client/trainers/torch/model_zoo.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace fedwatt {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

constexpr char kClassificationLoss[] = R"(
def loss_from_output(self, output, y):
    return torch.nll_loss(torch.log_softmax(output, 1), y, None, 0, -100)

def loss(self, x, y):
    return self.loss_from_output(self.forward(x), y)
)";

constexpr char kSequenceLoss[] = R"(
def loss_from_output(self, output, y):
    return torch.mean(torch.nll_loss2d(
        torch.unsqueeze(torch.log_softmax(output, 1), 2), torch.unsqueeze(y, 1), None, 0, -100),
        [1, 2])

def loss(self, x, y):
    return self.loss_from_output(self.forward(x), y)
)";

double FanInBound(int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

ScriptLayer Linear(const std::string& attribute, int64_t in, int64_t out) {
  const double bound = FanInBound(in);
  return {attribute,
          absl::StrCat("Linear_", attribute),
          {{"weight", {out, in}, bound}, {"bias", {out}, bound}},
          R"(
def forward(self, x):
    return torch.linear(x, self.weight, self.bias)
)"};
}

ScriptLayer Conv5x5(const std::string& attribute, int64_t in, int64_t out) {
  const double bound = FanInBound(in * 25);
  return {attribute,
          absl::StrCat("Conv_", attribute),
          {{"weight", {out, in, 5, 5}, bound}, {"bias", {out}, bound}},
          R"(
def forward(self, x):
    return torch.conv2d(x, self.weight, self.bias, [1, 1], [2, 2])
)"};
}

ScriptNet McMahanCnn(const ZooOptions& options) {
  ScriptNet net;
  net.class_name = "McMahanCnn";
  net.description = "CNN of McMahan et al. 2017 for 28x28 images";
  net.input_shape = {1, 28, 28};
  net.layers = {Conv5x5("conv1", 1, 32), Conv5x5("conv2", 32, 64), Linear("fc1", 3136, 512),
                Linear("fc2", 512, options.classes)};
  net.source = absl::StrCat(R"(
def forward(self, x):
    x = torch.max_pool2d(torch.relu(self.conv1.forward(x)), [2, 2], [2, 2])
    x = torch.max_pool2d(torch.relu(self.conv2.forward(x)), [2, 2], [2, 2])
    x = torch.relu(self.fc1.forward(torch.flatten(x, 1)))
    return self.fc2.forward(x)
)",
                            kClassificationLoss);
  return net;
}

ScriptLayer StridedConv3x3(const std::string& attribute, int64_t in, int64_t out) {
  const double bound = FanInBound(in * 9);
  return {attribute,
          absl::StrCat("Conv_", attribute),
          {{"weight", {out, in, 3, 3}, bound}, {"bias", {out}, bound}},
          R"(
def forward(self, x):
    return torch.conv2d(x, self.weight, self.bias, [2, 2], [1, 1])
)"};
}

ScriptNet SmallCnn(const ZooOptions& options) {
  ScriptNet net;
  net.class_name = "SmallCnn";
  net.description = "two strided convolutions for 28x28 images";
  net.input_shape = {1, 28, 28};
  net.layers = {StridedConv3x3("conv1", 1, 8), StridedConv3x3("conv2", 8, 16),
                Linear("fc", 784, options.classes)};
  net.source = absl::StrCat(R"(
def forward(self, x):
    x = torch.relu(self.conv1.forward(x))
    x = torch.relu(self.conv2.forward(x))
    return self.fc.forward(torch.flatten(x, 1))
)",
                            kClassificationLoss);
  return net;
}

ScriptNet Mlp(const ZooOptions& options) {
  ScriptNet net;
  net.class_name = "Mlp";
  net.input_shape = options.input_shape;
  int64_t width = 1;
  for (const int64_t dim : options.input_shape) width *= dim;
  std::vector<int64_t> widths = {width};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(options.classes);
  net.description = absl::StrCat("fully connected, ", absl::StrJoin(widths, "-"));
  std::string body = "\ndef forward(self, x):\n    x = torch.flatten(x, 1)\n";
  for (size_t i = 1; i < widths.size(); ++i) {
    const std::string attribute = absl::StrCat("fc", i);
    net.layers.push_back(Linear(attribute, widths[i - 1], widths[i]));
    const std::string call = absl::StrCat("self.", attribute, ".forward(x)");
    absl::StrAppend(&body, "    x = ",
                    i + 1 < widths.size() ? absl::StrCat("torch.relu(", call, ")") : call, "\n");
  }
  net.source = absl::StrCat(body, "    return x\n", kClassificationLoss);
  return net;
}

ScriptNet CharLstm(const ZooOptions& options) {
  constexpr int64_t kEmbedding = 8;
  constexpr int64_t kHidden = 256;
  const double bound = FanInBound(kHidden);
  ScriptNet net;
  net.class_name = "CharLstm";
  net.description = "two-layer LSTM of McMahan et al. 2017 that predicts the next character";
  net.task = ModelTask::kSequence;
  net.input_shape = {options.sequence_length};
  net.input_dtype = DType::kI64;
  const double unit_variance = std::sqrt(3.0);
  net.layers.push_back({"embedding",
                        "Embedding",
                        {{"weight", {options.vocabulary, kEmbedding}, unit_variance}},
                        R"(
def forward(self, x):
    return torch.embedding(self.weight, x)
)"});
  ScriptLayer lstm{"lstm", "Lstm", {}, R"(
def forward(self, x):
    state = torch.zeros([2, x.size(0), 256], dtype=x.dtype, device=x.device)
    weights = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0,
               self.weight_ih_l1, self.weight_hh_l1, self.bias_ih_l1, self.bias_hh_l1]
    out, h, c = torch.lstm(x, [state, state], weights, True, 2, 0.0, self.training, False, True)
    return out
)"};
  for (int layer = 0; layer < 2; ++layer) {
    const int64_t in = layer == 0 ? kEmbedding : kHidden;
    lstm.parameters.push_back({absl::StrCat("weight_ih_l", layer), {4 * kHidden, in}, bound});
    lstm.parameters.push_back({absl::StrCat("weight_hh_l", layer), {4 * kHidden, kHidden}, bound});
    lstm.parameters.push_back({absl::StrCat("bias_ih_l", layer), {4 * kHidden}, bound});
    lstm.parameters.push_back({absl::StrCat("bias_hh_l", layer), {4 * kHidden}, bound});
  }
  net.layers.push_back(std::move(lstm));
  net.layers.push_back(Linear("fc", kHidden, options.vocabulary));
  net.source = absl::StrCat(R"(
def forward(self, x):
    out = self.lstm.forward(self.embedding.forward(x))
    return torch.transpose(self.fc.forward(out), 1, 2)
)",
                            kSequenceLoss);
  return net;
}

absl::Status CheckRange(const std::string& option, int64_t value, int64_t least) {
  if (value >= least && value <= kMaxWidth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is ", value, "; it must be ", least, " to ", kMaxWidth));
}

absl::Status CheckOptions(const ZooOptions& options) {
  FW_RETURN_IF_ERROR(CheckRange("--classes", options.classes, 2));
  FW_RETURN_IF_ERROR(CheckRange("--vocabulary", options.vocabulary, 2));
  FW_RETURN_IF_ERROR(CheckRange("--sequence-length", options.sequence_length, 1));
  for (const int64_t width : options.hidden) {
    FW_RETURN_IF_ERROR(CheckRange("--hidden", width, 1));
  }
  int64_t elements = 1;
  for (const int64_t dim : options.input_shape) {
    FW_RETURN_IF_ERROR(CheckRange("--input-shape", dim, 1));
    FW_RETURN_IF_ERROR(CheckRange("--input-shape", elements *= dim, 1));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ZooNames() { return {"mcmahan-cnn", "small-cnn", "mlp", "char-lstm"}; }

absl::StatusOr<ScriptNet> ZooModel(const std::string& name, const ZooOptions& options) {
  FW_RETURN_IF_ERROR(CheckOptions(options));
  ScriptNet net;
  if (name == "mcmahan-cnn") {
    net = McMahanCnn(options);
  } else if (name == "small-cnn") {
    net = SmallCnn(options);
  } else if (name == "mlp") {
    net = Mlp(options);
  } else if (name == "char-lstm") {
    net = CharLstm(options);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("no built-in model is called \"", name, "\"", DidYouMean(name, ZooNames())));
  }
  net.name = name;
  return net;
}

}  // namespace fedwatt
