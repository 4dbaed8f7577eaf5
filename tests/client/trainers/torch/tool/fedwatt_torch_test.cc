// The program as a user and as fedwatt-client run it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/trainers/torch/torch_trainer.h"
#include "client/trainers/worker/worker_trainer.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/subprocess.h"
#include "common/bundle/bundle.h"
#include "common/crypto/ed25519.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kLimitMs = 100'000;

std::string BinDir() {
  const char* bin = std::getenv("FEDWATT_BIN_DIR");
  return bin == nullptr ? "." : bin;
}
std::string Program() { return BinDir() + "/fedwatt-torch"; }
std::string Fixture(const std::string& file) { return BinDir() + "/tests/torch_fixtures/" + file; }

struct Output {
  int code = -1;
  std::string out;
  std::string err;
};

class ToolTest : public ::testing::Test {
 protected:
  ToolTest() {
    dir_ = ::testing::TempDir() + "fedwatt_tool_" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    EXPECT_TRUE(EnsureDir(dir_).ok());
  }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }

  Output Execute(std::vector<std::string> argv) {
    SubprocessOptions options;
    options.argv = std::move(argv);
    const int out = open(Path("out").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int err = open(Path("err").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    options.fds = {{out, 1}, {err, 2}};
    auto child = Subprocess::Spawn(options);
    close(out);
    close(err);
    Output output;
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return output;
    const auto exit = child->Wait(kLimitMs);
    EXPECT_TRUE(exit.ok()) << exit.status();
    if (exit.ok()) output.code = exit->code;
    output.out = ReadFile(Path("out"), 1 << 20).value_or("");
    output.err = ReadFile(Path("err"), 1 << 20).value_or("");
    return output;
  }

  Output Tool(std::vector<std::string> args) {
    args.insert(args.begin(), Program());
    return Execute(std::move(args));
  }

  std::string MakeMlp() {
    const Output made = Tool({"new", "mlp", "-o", Path("mlp.fwb"), "--hidden", "8"});
    EXPECT_EQ(made.code, 0) << made.err;
    return Path("mlp.fwb");
  }

  std::string dir_;
};

TEST_F(ToolTest, NewSignsAndInspectShowsIt) {
  const auto key = SigningKey::Generate();
  ASSERT_TRUE(key.ok() && key->Save(Path("owner.pem")).ok());
  const Output made =
      Tool({"new", "mcmahan-cnn", "-o", Path("m.fwb"), "--key", Path("owner.pem"), "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto json = nlohmann::json::parse(made.out);
  EXPECT_EQ(json["parameters"], 1'663'370);
  EXPECT_EQ(json["signed_by"], key->public_key().KeyId());
  const auto bundle = Bundle::Open(Path("m.fwb"));
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_TRUE((*bundle)->VerifySignedBy(std::vector<PublicKey>{key->public_key()}).ok());

  const Output text = Tool({"inspect", Path("m.fwb")});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("1,663,370 trainable"), HasSubstr("conv1.weight"),
                              HasSubstr("aten::conv2d(2)"), HasSubstr(key->public_key().KeyId())));
  const Output inspected = Tool({"inspect", Path("m.fwb"), "--json"});
  const auto info = nlohmann::json::parse(inspected.out);
  EXPECT_EQ(info["tensors"].size(), 8u);
  EXPECT_EQ(info["header_sha256"], json["header_sha256"]);
  EXPECT_EQ(info["training_graph"].size(), 10u);
  EXPECT_EQ(info["training_graph"][0], "conv1: conv2d");
}

TEST_F(ToolTest, InspectSaysWhyAModelNeedsLibTorch) {
  ASSERT_EQ(Tool({"new", "char-lstm", "-o", Path("lstm.fwb")}).code, 0);
  EXPECT_THAT(
      Tool({"inspect", Path("lstm.fwb")}).out,
      HasSubstr("graph       none, clients need LibTorch: layer lstm: operator aten::lstm"));
  const Output json = Tool({"inspect", Path("lstm.fwb"), "--json"});
  const auto info = nlohmann::json::parse(json.out);
  EXPECT_TRUE(info["training_graph"].empty());
  EXPECT_THAT(info["why_no_graph"].get<std::string>(), HasSubstr("aten::lstm"));
}

TEST_F(ToolTest, PythonOpensTheExportAndComputesTheSame) {
  const Output imported = Tool({"import", Fixture("norm.pt"), "-o", Path("norm.fwb"), "--name",
                                "norm", "--input-shape", "4"});
  ASSERT_EQ(imported.code, 0) << imported.err;
  const Output exported = Tool({"export", Path("norm.fwb"), "-o", Path("norm.pt")});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const std::string program = R"(
import sys, torch
a, b = (torch.jit.load(path).eval() for path in sys.argv[1:])
x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
assert torch.equal(a(x), b(x)), 'outputs differ'
assert torch.equal(a.loss(x, y), b.loss(x, y)), 'losses differ'
assert a.state_dict().keys() == b.state_dict().keys()
assert all(p.requires_grad for p in b.parameters())
print('equal')
)";
  const Output python =
      Execute({"/usr/bin/python3", "-c", program, Fixture("norm.pt"), Path("norm.pt")});
  EXPECT_EQ(python.code, 0) << python.err;
  EXPECT_THAT(python.out, HasSubstr("equal"));
}

TEST_F(ToolTest, EvaluatePrintsLossAndAccuracy) {
  const std::string model = MakeMlp();
  const Output evaluated =
      Tool({"evaluate", model, "--dataset", "test=idx:/usr/share/datasets/fashion-mnist?split=test",
            "--max-examples", "500", "--json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const auto json = nlohmann::json::parse(evaluated.out);
  EXPECT_EQ(json["examples"], 500);
  EXPECT_NEAR(json["loss"].get<double>(), 2.3, 0.3);
  EXPECT_NEAR(json["accuracy"].get<double>(), 0.1, 0.15);
}

TEST_F(ToolTest, UpdateWritesTheDeltaOfAFewSteps) {
  const std::string model = MakeMlp();
  const auto update = [&](const std::string& file, const std::string& seed) {
    const Output made =
        Tool({"update", model, "--dataset", "train=idx:/usr/share/datasets/fashion-mnist", "-o",
              Path(file), "--steps", "3", "--seed", seed, "--json"});
    EXPECT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(nlohmann::json::parse(made.out)["steps"], 3);
    return ReadFile(Path(file), 1 << 20).value_or("");
  };
  const std::string first = update("a.f32", "1");
  const auto bundle = Bundle::Open(model);
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(first.size(), 4 * (*bundle)->header().manifest.TrainableElements());
  EXPECT_NE(first, std::string(first.size(), 0)) << "training changes something";
  EXPECT_EQ(update("b.f32", "1"), first) << "the same seed gives the same update";
  EXPECT_NE(update("c.f32", "2"), first);
  EXPECT_EQ(Tool({"update", model, "--dataset", "x=idx:/none", "-o", Path("d.f32")}).code, 4);
  EXPECT_FALSE(FileExists(Path("d.f32")));
}

TEST_F(ToolTest, ExitCodesTellUsageRefusalAndMissingFilesApart) {
  EXPECT_EQ(Tool({}).code, 2);
  EXPECT_EQ(Tool({"new", "mlp"}).code, 2);
  EXPECT_EQ(Tool({"inspect", Path("none.fwb")}).code, 4);
  const Output refused = Tool({"import", Fixture("from_file.pt"), "-o", Path("x.fwb"), "--name",
                               "x", "--task", "regression", "--input-shape", "1"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("from_file.pt"), HasSubstr("aten::from_file")));
  EXPECT_FALSE(FileExists(Path("x.fwb")));
  const Output unknown = Tool({"new", "mcmahon-cnn", "-o", Path("x.fwb"), "--json"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_THAT(nlohmann::json::parse(unknown.err)["message"].get<std::string>(),
              HasSubstr("did you mean \"mcmahan-cnn\"?"));
}

TEST_F(ToolTest, HelpHasAnExampleAndHidesTheWorker) {
  const Output help = Tool({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("evaluate"), HasSubstr("Exit codes"),
                              ::testing::Not(HasSubstr("worker"))));
  for (const std::string command : {"new", "import", "inspect", "export", "evaluate", "update"}) {
    EXPECT_THAT(Tool({command, "--help"}).out, HasSubstr("Example:\n  fedwatt-torch " + command));
  }
}

// Through the client's side of the protocol.
class WorkerTest : public ToolTest {
 protected:
  WorkerTest() : worker_({.program = Program(), .device = "cpu"}, &clock_) {}

  void UseMlp() {
    request_.bundle_path = MakeMlp();
    const auto bundle = Bundle::Open(request_.bundle_path);
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    request_.model_path = Path("tensors");
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, AsText((*bundle)->Tensors())).ok());
    const auto dataset =
        DatasetConfig::Parse("fashion=idx:/usr/share/datasets/fashion-mnist?split=test");
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    request_.assignment_id = "job/r1/a1/0";
    request_.key = {"job", 1, 1, false};
    request_.dataset = *dataset;
    request_.seed_key = "client-1";
    request_.output_path = Path("update");
    request_.plan.local_epochs = 0;
    request_.plan.local_steps = 20;
    request_.plan.local_evaluation_examples = 100;
  }

  // A model that is harmless on zeros only, and data that are not zeros.
  void UseFixture(const std::string& name) {
    UseMlp();
    const auto bundle = Bundle::Open(Fixture(name + ".fwb"));
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    ASSERT_TRUE(WriteFileAtomic(request_.model_path, AsText((*bundle)->Tensors())).ok());
    ASSERT_TRUE(WriteFileAtomic(Path("data.csv"), "x,y\n1,2\n2,4\n").ok());
    const auto dataset = DatasetConfig::Parse("pairs=csv:" + Path("data.csv") + "?task=value");
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    request_.dataset = *dataset;
    request_.bundle_path = Fixture(name + ".fwb");
  }

  std::string UpdateOf(Trainer& trainer) {
    const auto result = trainer.Run(request_, cancel_, progress_);
    EXPECT_TRUE(result.ok()) << result.status();
    return ReadFile(request_.output_path, 1 << 24).value_or("");
  }

  SystemClock clock_;
  WorkerTrainer worker_;
  TrainRequest request_;
  std::atomic<bool> cancel_{false};
  std::function<void(const TrainProgress&)> progress_;
};

TEST_F(WorkerTest, AProcessOfItsOwnGivesTheBitsOfThisOne) {
  UseMlp();
  const std::string outside = UpdateOf(worker_);
  const std::unique_ptr<Trainer> inside =
      MakeTorchTrainer({.open_dataset = OpenDataset, .clock = &clock_, .device = "cpu"});
  EXPECT_EQ(UpdateOf(*inside), outside);
  EXPECT_EQ(UpdateOf(worker_), outside) << "a warm worker";
  EXPECT_GT(worker_.ChildCpuTimeUs(), 0);
}

TEST_F(WorkerTest, CancellationReachesARunningWorkerWhichServesOn) {
  UseMlp();
  request_.plan.local_steps = 1'000'000;
  progress_ = [&](const TrainProgress& progress) {
    if (progress.steps_done > 0) cancel_ = true;
  };
  const auto cancelled = worker_.Run(request_, cancel_, progress_);
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled) << cancelled.status();
  cancel_ = false;
  progress_ = nullptr;
  request_.plan.local_steps = 2;
  EXPECT_TRUE(worker_.Run(request_, cancel_, progress_).ok());
}

TEST_F(WorkerTest, AnEndlessModelIsStoppedByTheWatchdog) {
  UseFixture("loops");
  request_.plan.step_time_limit_ms = 500;
  const auto result = worker_.Run(request_, cancel_, progress_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("watchdog"));
}

TEST_F(WorkerTest, ATerabyteStopsAtTheWorkersLimitAndItServesOn) {
  UseFixture("allocates");
  request_.plan.memory_limit_bytes = 2'000'000'000;
  const auto result = worker_.Run(request_, cancel_, progress_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted) << result.status();
  EXPECT_THAT(std::string(result.status().message()),
              AllOf(HasSubstr("1099511627776 bytes"), HasSubstr("limit is 2.0 GB")));
  UseMlp();
  EXPECT_TRUE(worker_.Run(request_, cancel_, progress_).ok());
}

TEST_F(WorkerTest, AWorkerEndsWhenItsClientIsGone) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  SubprocessOptions options;
  options.argv = {Program(), "worker", "--fd", "3"};
  options.fds = {{pair[1], 3}};
  auto child = Subprocess::Spawn(options);
  close(pair[1]);
  close(pair[0]);
  ASSERT_TRUE(child.ok()) << child.status();
  const auto exit = child->Wait(kLimitMs);
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

}  // namespace
}  // namespace fedwatt
