// An app in C++ that trains models which it knows nothing of: it supplies the next batch, and one
// of fedwatt's trainers does the rest. A job brings model, plan and loss. Built three times:
// without LibTorch, with LibTorch in a process of its own (TRAINER_TORCH), and, for models that are
// trusted, with LibTorch inside of the app (TRAINER_TORCH_IN_PROCESS).
//
//   any_model_cpp HOST:PORT CERTS NAME STATE_DIR ROUNDS
//
// CERTS is a folder from `fedwatt certs`, NAME one of its client certificates. Ends with 0 once so
// many updates of this device counted, with 1 on any error.

#include <fedwatt/client.h>
#if defined(TRAINER_TORCH)
#include <fedwatt/torch_trainer.h>
#elif defined(TRAINER_TORCH_IN_PROCESS)
#include <fedwatt/torch_in_process_trainer.h>
#else
#include <fedwatt/portable_trainer.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kInputs = 4;
constexpr int kExamples = 64;

// The app's data: y = 1 x0 - 2 x1 + 3 x2 - 4 x3 + 0.5.
class Points final : public fedwatt::DataSource {
 public:
  explicit Points(const std::string& seed) {
    constexpr std::array<float, kInputs> weight = {1, -2, 3, -4};
    uint32_t state = 1;
    for (const char letter : seed) state = state * 31 + static_cast<unsigned char>(letter);
    for (int i = 0; i < kExamples; ++i) {
      float y = 0.5F;
      for (int j = 0; j < kInputs; ++j) {
        state = state * 1664525 + 1013904223;
        x_.push_back(static_cast<float>(state >> 8) / (1 << 23) - 1);
        y += weight[j] * x_.back();
      }
      y_.push_back(y);
    }
  }

  fedwatt::Status Rewind(const std::string& dataset) override {
    next_ = 0;
    if (dataset == "points") return {};
    return {fedwatt::Code::kNotFound, "this app has points only"};
  }

  fedwatt::Result<fedwatt::Batch> Next(const std::string&, uint64_t max_examples) override {
    if (next_ == kExamples) return fedwatt::Status(fedwatt::Code::kEnd, "");
    const int64_t n = std::min<int64_t>(static_cast<int64_t>(max_examples), kExamples - next_);
    fedwatt::Batch batch;
    batch.examples = static_cast<uint64_t>(n);
    batch.x = {x_.data() + next_ * kInputs, fedwatt::DType::kF32, {n, kInputs}};
    batch.y = {y_.data() + next_, fedwatt::DType::kF32, {n, 1}};
    next_ += n;
    return batch;
  }

 private:
  std::vector<float> x_;
  std::vector<float> y_;
  int64_t next_ = 0;
};

// Says everything on standard error, and when enough updates have counted.
class Narrator final : public fedwatt::Listener {
 public:
  explicit Narrator(int64_t goal) : left_(goal) {}

  void Log(fedwatt::LogLevel, const std::string& line) override { std::cerr << line << "\n"; }
  void OnEvent(const fedwatt::Event& event) override {
    if (event.kind != FEDWATT_EVENT_COMMITTED) return;
    --left_;
    left_.notify_all();
  }
  void WaitForGoal() {
    for (int64_t left = left_; left > 0; left = left_) left_.wait(left);
  }

 private:
  std::atomic<int64_t> left_;
};

std::string ReadText(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// All in which the three programs differ.
fedwatt::Status ChooseTrainer(fedwatt::ClientOptions* options) {
#if defined(TRAINER_TORCH)
  options->torch_program = fedwatt::InstalledTorchProgram();
  if (!options->torch_program.empty()) return {};
  return {fedwatt::Code::kNotFound, "fedwatt-torch is not installed beside the library"};
#else
#if defined(TRAINER_TORCH_IN_PROCESS)
  const auto trainer = fedwatt::MakeTorchTrainerInProcess();
#else
  const auto trainer = fedwatt::MakePortableTrainer();
#endif
  if (!trainer.ok()) return trainer.status();
  options->trainer = *trainer;
  return {};
#endif
}

int Fail(const fedwatt::Status& status) {
  std::cerr << status.ToString() << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: any_model_cpp HOST:PORT CERTS NAME STATE_DIR ROUNDS\n";
    return 2;
  }
  const std::string certs = argv[2];
  const std::string name = argv[3];
  const auto narrator = std::make_shared<Narrator>(std::stoll(argv[5]));

  fedwatt::ClientOptions options;
  options.server = argv[1];
  options.ca_file = certs + "/ca.pem";
  options.certificate_file = certs + "/" + name + ".pem";
  options.key_file = certs + "/" + name + ".key";
  options.state_dir = argv[4];
  options.trusted_keys = {ReadText(certs + "/owner.pub")};
  options.datasets = {{.name = "points", .examples = kExamples}};
  options.data = std::make_shared<Points>(name);
  options.listener = narrator;
  options.long_poll_ms = 2000;  // so that this example hears of its last update soon
  if (const auto chosen = ChooseTrainer(&options); !chosen.ok()) return Fail(chosen);

  fedwatt::Result<fedwatt::Client> client = fedwatt::Client::Open(options);
  if (!client.ok()) return Fail(client.status());
  const fedwatt::Status running = client->RunInBackground();
  if (!running.ok()) return Fail(running);
  narrator->WaitForGoal();
  const fedwatt::Status closed = client->Close(5000);
  if (!closed.ok()) return Fail(closed);
  std::cout << argv[5] << " updates counted\n";
  return 0;
}
