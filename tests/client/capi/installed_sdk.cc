#include "tests/client/capi/installed_sdk.h"

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/bundle/bundle.h"
#include "common/graph/training_graph.h"

namespace fedwatt::e2e {
namespace {

constexpr int64_t kBuildLimitMs = 240'000;

std::string Environment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

std::string Sanitizers() { return Environment("FEDWATT_SDK_SANITIZE", FEDWATT_SANITIZE); }

std::string Source(const std::string& path) { return absl::StrCat(FEDWATT_SOURCE_DIR, "/", path); }

}  // namespace

void WriteLinearBundle(const Deployment& fleet) {
  BundleHeader header;
  header.name = "linear";
  header.task = ModelTask::kRegression;
  header.artifacts = {Artifact{.format = "linear", .version = "1"},
                      Artifact{.format = kGraphFormat, .version = "1"}};
  header.input_shape = {4};
  header.manifest =
      *Manifest::Create({{.name = "weight", .shape = {1, 4}}, {.name = "bias", .shape = {1}}});
  const std::string artifact = "y = weight x + bias";
  TrainingGraph graph;
  graph.layers = {{LayerKind::kLinear, "linear", {0}, {0, 1}, {}, {}}};
  graph.output = graph.loss_input = 1;
  graph.loss.kind = LossKind::kMse;
  const std::string layers = SerializeTrainingGraph(graph);
  const std::vector<uint8_t> tensors(header.manifest.TotalBytes());
  const SigningKey key = SigningKey::Load(fleet.certs() + "/owner.key").value();
  const absl::Status written = BundleWriter::Write(
      fleet.File("linear.fwb"), header, {AsBytes(artifact), AsBytes(layers)}, tensors, &key);
  ASSERT_TRUE(written.ok()) << written;
}

void WriteLinearModule(const Deployment& fleet) {
  const Output imported = RunToEnd(
      {.argv = {BinDir() + "/fedwatt-torch", "import", BinDir() + "/tests/torch_fixtures/points.pt",
                "-o", fleet.File("linear.fwb"), "--key", fleet.certs() + "/owner.key", "--name",
                "linear", "--task", "regression", "--input-shape", "4"}},
      fleet.scratch());
  ASSERT_EQ(imported.code, 0) << imported.ToString();
}

std::string SubmitLinear(Deployment& fleet, const LinearJob& job) {
  EchoJob spec{.name = "linear", .bundle = "linear.fwb", .rounds = job.rounds, .goal = job.goal};
  spec.set = {"dataset.name=points", "plan.optimizer.lr=0.3", "plan.local_epochs=4",
              "plan.batch_size=16"};
  spec.set.insert(spec.set.end(), job.set.begin(), job.set.end());
  return fleet.Submit(spec);
}

std::vector<float> ExportLinear(Deployment& fleet, const std::string& job) {
  const std::string path = fleet.File("trained.fwb");
  const Output exported = fleet.Cli({"export", job, "-o", path});
  EXPECT_EQ(exported.code, 0) << exported.ToString();
  const auto bundle = Bundle::Open(path);
  EXPECT_TRUE(bundle.ok()) << bundle.status();
  if (!bundle.ok()) return {};
  const auto bytes = (*bundle)->Tensors();
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

InstalledSdk::InstalledSdk(const Deployment& fleet, const std::vector<std::string>& components)
    : scratch_(fleet.scratch()), prefix_(fleet.File("installed")) {
  const std::string build = Environment("FEDWATT_SDK_BUILD", DirName(BinDir()));
  for (const std::string& component : components) {
    installed_ = RunToEnd(
        {.argv = {"cmake", "--install", build, "--prefix", prefix_, "--component", component},
         .timeout_ms = kBuildLimitMs},
        scratch_);
    if (installed_.code != 0) break;
  }
}

testing::AssertionResult InstalledSdk::ok() const {
  if (installed_.code == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << installed_.ToString();
}

std::string InstalledSdk::Build(const std::string& example, const std::string& program) {
  const std::string build = absl::StrCat(scratch_, "/build-", example);
  const std::vector<std::string> commands[] = {
      {"cmake", "-S", Source("examples/" + example), "-B", build, "-G", "Ninja",
       "-DCMAKE_PREFIX_PATH=" + prefix_, "-DCMAKE_BUILD_TYPE=Release",
       "-DCMAKE_C_FLAGS=-Werror " + compiler_flags(),
       "-DCMAKE_CXX_FLAGS=-Werror " + compiler_flags()},
      {"cmake", "--build", build}};
  for (const std::vector<std::string>& argv : commands) {
    const Output output = RunToEnd({.argv = argv, .timeout_ms = kBuildLimitMs}, scratch_);
    if (output.code != 0) {
      ADD_FAILURE() << output.ToString();
      return "";
    }
  }
  return absl::StrCat(build, "/", program);
}

bool InstalledSdk::sanitized() { return !Sanitizers().empty(); }

std::string InstalledSdk::compiler_flags() {
  return sanitized() ? absl::StrCat("-fno-sanitize-recover=all -fsanitize=", Sanitizers()) : "";
}

}  // namespace fedwatt::e2e
