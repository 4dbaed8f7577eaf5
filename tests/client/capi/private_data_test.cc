// Raw data never leaves the device: what an app's training examples look like in its memory is
// searched for in everything that passes between client and coordinator, without TLS and without a
// codec in the way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <unordered_set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "fedwatt/fedwatt.h"
#include "tests/client/capi/installed_sdk.h"
#include "tests/e2e/cut_proxy.h"

namespace fedwatt::e2e {
namespace {

using ::testing::HasSubstr;

constexpr size_t kWindow = 16;
constexpr char kAppVersion[] = "an app version of more than 16 bytes";
constexpr uint64_t kExamples = 48;

// Runs of 16 bytes, each at any place of what was marked.
class Marked {
 public:
  void Add(std::string_view bytes) {
    for (size_t i = 0; i + kWindow <= bytes.size(); ++i) {
      windows_.insert(std::string(bytes.substr(i, kWindow)));
    }
  }
  // How many places of `text` hold one.
  size_t CountIn(const std::string& text) const {
    size_t found = 0;
    for (size_t i = 0; i + kWindow <= text.size(); ++i) {
      found += windows_.count(text.substr(i, kWindow));
    }
    return found;
  }

 private:
  std::unordered_set<std::string> windows_;
};

// Examples of random numbers: no 16 bytes of them are anywhere else by chance.
struct Examples {
  Examples(std::vector<int64_t> x_shape, bool classes) : shape(std::move(x_shape)) {
    Rng rng(RngKey{.job = "", .round = 0, .client = "", .purpose = "private-data"});
    for (const int64_t size : shape) each *= static_cast<size_t>(size);
    for (size_t i = 0; i < kExamples * each; ++i) {
      x.push_back(static_cast<float>(rng.Uniform01()));
    }
    for (size_t i = 0; i < kExamples; ++i) {
      y_class.push_back(static_cast<int64_t>(rng.UniformInt(10)));
      y.push_back(static_cast<float>(rng.Uniform01()));
    }
    marked.Add({reinterpret_cast<const char*>(x.data()), x.size() * sizeof(float)});
    // Class numbers are mostly zeros, as is much else.
    if (!classes) marked.Add({reinterpret_cast<const char*>(y.data()), y.size() * sizeof(float)});
    is_class = classes;
  }

  int32_t Next(uint64_t max_examples, fedwatt_batch* batch) {
    if (at == kExamples) return FEDWATT_END;
    const uint64_t n = std::min(max_examples, kExamples - at);
    batch->examples = n;
    batch->x = {x.data() + at * each, FEDWATT_F32, 1, {static_cast<int64_t>(n)}};
    for (const int64_t size : shape) batch->x.shape[batch->x.dims++] = size;
    batch->y = {y.data() + at, FEDWATT_F32, 2, {static_cast<int64_t>(n), 1}};
    if (is_class) {
      batch->y = {y_class.data() + at, FEDWATT_I64, 1, {static_cast<int64_t>(n)}};
    }
    at += n;
    return FEDWATT_OK;
  }

  const std::vector<int64_t> shape;
  size_t each = 1;
  bool is_class = false;
  std::vector<float> x;
  std::vector<float> y;
  std::vector<int64_t> y_class;
  uint64_t at = 0;
  Marked marked;
};

// A device whose traffic is read: an app in this process, a coordinator without TLS, and the wire
// between them.
class PrivateDataTest : public ::testing::Test {
 protected:
  void StartCoordinator() {
    const std::string port_file = fleet_.File("port");
    coordinator_ =
        Program({BinDir() + "/fedwatt-coordinator", "--listen", "127.0.0.1:0", "--data-dir",
                 fleet_.data_dir(), "--insecure", "--port-file", port_file},
                fleet_.File("coordinator.log"));
    ASSERT_TRUE(WaitUntil("the coordinator", [&] { return FileSize(port_file).value_or(0) > 0; }));
    server_port_ = static_cast<uint16_t>(std::stoul(ReadFile(port_file, 64).value()));
  }

  // Runs a job of `bundle` with this app as its only client.
  void RunJob(Examples* examples, const std::string& bundle, const fedwatt_trainer* trainer) {
    CutProxy wire(server_port_);
    wire.Capture();
    const std::string address = wire.address();
    const std::string state = fleet_.File("state");
    const std::string owner = ReadFile(fleet_.certs() + "/owner.pub", 4096).value();
    const std::string torch = BinDir() + "/fedwatt-torch";
    const char* const key = owner.c_str();
    fedwatt_data_source data = FEDWATT_INIT(fedwatt_data_source);
    data.ctx = examples;
    data.rewind = [](void* ctx, const char*, fedwatt_error*) -> int32_t {
      static_cast<Examples*>(ctx)->at = 0;
      return FEDWATT_OK;
    };
    data.next = [](void* ctx, const char*, uint64_t max, fedwatt_batch* batch, fedwatt_error*) {
      return static_cast<Examples*>(ctx)->Next(max, batch);
    };
    fedwatt_dataset dataset = FEDWATT_INIT(fedwatt_dataset);
    dataset.name = "d";
    dataset.examples = kExamples;
    const fedwatt_dataset* const datasets[] = {&dataset};
    fedwatt_options options = FEDWATT_INIT(fedwatt_options);
    options.server = address.c_str();
    options.insecure_subject = "device-1";
    options.state_dir = state.c_str();
    options.trusted_keys = &key;
    options.trusted_key_count = 1;
    options.datasets = datasets;
    options.dataset_count = 1;
    options.data = &data;
    options.trainer = trainer;
    if (trainer == nullptr) options.torch_program = torch.c_str();
    options.app_version = kAppVersion;
    options.telemetry_level = 3;  // all that there is to tell
    fedwatt_error error = FEDWATT_INIT(fedwatt_error);
    fedwatt_client* client = nullptr;
    ASSERT_EQ(fedwatt_client_open(&options, &client, &error), FEDWATT_OK) << error.message;
    ASSERT_EQ(fedwatt_client_run_in_background(client, &error), FEDWATT_OK) << error.message;
    RunToTheEnd(bundle);
    EXPECT_EQ(fedwatt_client_close(client, 10'000, &error), FEDWATT_OK) << error.message;
    sent_ = wire.captured(CutProxy::kUp);
    received_ = wire.captured(CutProxy::kDown);
  }

  void RunToTheEnd(const std::string& bundle) {
    const std::string server = absl::StrCat("127.0.0.1:", server_port_);
    const std::string job = fleet_.WriteJobFile({.bundle = bundle, .rounds = 2, .goal = 1});
    const Output run = RunToEnd({.argv = {BinDir() + "/fedwatt", "--server", server, "--insecure",
                                          "run", job, "--set", "plan.batch_size=16"},
                                 .timeout_ms = 120'000},
                                fleet_.scratch());
    EXPECT_EQ(run.code, 0) << run.ToString() << coordinator_.Log();
  }

  // What was sent is a whole update, readable, and nothing of the examples is in it.
  void ExpectPrivate(const Examples& examples, uint64_t update_bytes) {
    EXPECT_THAT(sent_, HasSubstr(kAppVersion)) << "the wire can be read";
    EXPECT_GT(sent_.size(), 2 * update_bytes) << "both updates passed";
    EXPECT_EQ(examples.marked.CountIn(sent_), 0u);
    EXPECT_EQ(examples.marked.CountIn(received_), 0u);
  }

  Deployment fleet_{0};
  Program coordinator_;
  uint16_t server_port_ = 0;
  std::string sent_;
  std::string received_;
};

TEST_F(PrivateDataTest, TheSearchFindsWhatIsThere) {
  const Examples examples({4}, false);
  const std::string leak(reinterpret_cast<const char*>(examples.x.data()) + 5, 40);
  EXPECT_EQ(examples.marked.CountIn("some text " + leak + " and more"), 40 - kWindow + 1);
  EXPECT_EQ(examples.marked.CountIn(leak.substr(0, 15)), 0u);
}

TEST_F(PrivateDataTest, OfAnAppsOwnTrainerStaysHere) {
  WriteLinearBundle(fleet_);
  StartCoordinator();
  Examples examples({4}, false);
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  trainer.name = "linear";
  // One step of least squares over all examples.
  trainer.run = [](void*, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
    fedwatt_parameter weight = FEDWATT_INIT(fedwatt_parameter);
    fedwatt_batch batch = FEDWATT_INIT(fedwatt_batch);
    int32_t code = fedwatt_task_parameter(task, 0, &weight, error);
    if (code == FEDWATT_OK) code = fedwatt_task_rewind(task, error);
    while (code == FEDWATT_OK) {
      code = fedwatt_task_next(task, 16, &batch, error);
      if (code != FEDWATT_OK) break;
      for (uint64_t i = 0; i < batch.examples; ++i) {
        const float* x = static_cast<const float*>(batch.x.data) + 4 * i;
        const float y = static_cast<const float*>(batch.y.data)[i];
        for (int j = 0; j < 4; ++j) static_cast<float*>(weight.output)[j] += 0.01F * y * x[j];
      }
      result->examples += batch.examples;
    }
    return code == FEDWATT_END ? int32_t{FEDWATT_OK} : code;
  };
  RunJob(&examples, "linear.fwb", &trainer);
  ExpectPrivate(examples, 5 * sizeof(float));
}

TEST_F(PrivateDataTest, OfFedwattTorchStaysHereToo) {
  const Output made =
      RunToEnd({.argv = {BinDir() + "/fedwatt-torch", "new", "mlp", "-o", fleet_.File("mlp.fwb"),
                         "--key", fleet_.certs() + "/owner.key", "--input-shape", "1,8,8"}},
               fleet_.scratch());
  ASSERT_EQ(made.code, 0) << made.ToString();
  StartCoordinator();
  Examples examples({1, 8, 8}, true);
  RunJob(&examples, "mlp.fwb", nullptr);
  ExpectPrivate(examples, (64 * 32 + 32 + 32 * 10 + 10) * sizeof(float));
}

}  // namespace
}  // namespace fedwatt::e2e
