// An app in C++ that takes part in federated learning with a trainer of its own: linear regression
// by gradient descent, y = w x + b. The client runs in the background.
//
//   linear HOST:PORT CERTS NAME STATE_DIR ROUNDS
//
// CERTS is a folder from `fedwatt certs`, NAME one of its client certificates. Ends with 0 once so
// many updates of this device counted, with 1 on any error.

#include <fedwatt/client.h>

#include <array>
#include <atomic>
#include <cstdio>
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

class LinearTrainer final : public fedwatt::Trainer {
 public:
  std::string Name() const override { return "linear"; }
  std::vector<std::string> Formats() const override { return {"linear"}; }

  fedwatt::Result<fedwatt::TrainingResult> Run(fedwatt::TrainingTask& task) override {
    const fedwatt::Result<fedwatt::Plan> plan = task.GetPlan();
    if (!plan.ok()) return plan.status();
    if (plan->optimizer != FEDWATT_SGD || plan->momentum != 0 || plan->local_epochs == 0) {
      return fedwatt::Status(fedwatt::Code::kUnimplemented,
                             "plan: this trainer does epochs of plain SGD only");
    }
    const auto parameters = task.Parameters();
    if (!parameters.ok()) return parameters.status();
    std::vector<float> model;  // weights, then bias
    for (const fedwatt::Parameter& parameter : *parameters) {
      const auto values = parameter.value.As<float>();
      model.insert(model.end(), values.begin(), values.end());
    }
    const std::vector<float> before = model;

    fedwatt::TrainingResult result;
    fedwatt::Status status = Pass(task, *plan, 0, &model, &result.before, &result.steps);
    std::optional<fedwatt::Losses> during;
    for (uint32_t epoch = 0; status.ok() && epoch < plan->local_epochs; ++epoch) {
      status = Pass(task, *plan, plan->lr, &model, &during, &result.steps);
    }
    if (status.ok()) status = Pass(task, *plan, 0, &model, &result.after, &result.steps);
    if (!status.ok()) return status;
    result.examples = result.after->examples;
    size_t at = 0;
    for (const fedwatt::Parameter& parameter : *parameters) {
      for (float& delta : parameter.Delta()) {
        delta = model[at] - before[at];
        ++at;
      }
    }
    return result;
  }

 private:
  // One pass over the data: the loss, and with a learning rate a step after each batch.
  static fedwatt::Status Pass(fedwatt::TrainingTask& task, const fedwatt::Plan& plan, double lr,
                              std::vector<float>* model, std::optional<fedwatt::Losses>* losses,
                              uint64_t* steps) {
    losses->emplace();
    fedwatt::Status status = task.Rewind();
    while (status.ok()) {
      const fedwatt::Result<fedwatt::Batch> batch = task.Next(plan.batch_size);
      if (batch.status().code() == fedwatt::Code::kEnd) return {};
      if (!batch.ok()) return batch.status();
      std::vector<float> gradient(model->size());
      for (uint64_t i = 0; i < batch->examples; ++i) {
        const float* x = batch->x.As<float>().data() + i * kInputs;
        float wrong = model->back() - batch->y.As<float>()[i];
        for (int j = 0; j < kInputs; ++j) wrong += (*model)[j] * x[j];
        for (int j = 0; j < kInputs; ++j) gradient[j] += wrong * x[j];
        gradient.back() += wrong;
        (*losses)->loss_sum += 0.5 * wrong * wrong;
        (*losses)->loss_sq_sum += 0.25 * wrong * wrong * wrong * wrong;
      }
      (*losses)->examples += batch->examples;
      if (lr == 0) continue;
      const auto scale = static_cast<float>(lr / static_cast<double>(batch->examples));
      for (size_t j = 0; j < model->size(); ++j) (*model)[j] -= scale * gradient[j];
      task.Progress(++*steps, 0, (*losses)->loss_sum);
      if (task.Cancelled()) return {fedwatt::Code::kCancelled, ""};
    }
    return status;
  }
};

// Says everything on standard error, and when enough updates have counted.
class Narrator final : public fedwatt::Listener {
 public:
  explicit Narrator(uint64_t goal) : left_(goal) {}

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

int Complain(const fedwatt::Status& status) {
  std::cerr << status.ToString() << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: linear HOST:PORT CERTS NAME STATE_DIR ROUNDS\n";
    return 2;
  }
  const std::string certs = argv[2];
  const std::string name = argv[3];
  const auto narrator = std::make_shared<Narrator>(std::stoull(argv[5]));

  fedwatt::ClientOptions options;
  options.server = argv[1];
  options.ca_file = certs + "/ca.pem";
  options.certificate_file = certs + "/" + name + ".pem";
  options.key_file = certs + "/" + name + ".key";
  options.state_dir = argv[4];
  options.trusted_keys = {ReadText(certs + "/owner.pub")};
  options.datasets = {{.name = "points", .examples = kExamples}};
  options.data = std::make_shared<Points>(name);
  options.trainer = std::make_shared<LinearTrainer>();
  options.listener = narrator;
  options.telemetry_level = 1;
  options.long_poll_ms = 2000;  // so that this example hears of its last update soon

  auto client = fedwatt::Client::Open(options);
  if (!client.ok()) return Complain(client.status());
  if (const auto running = client->RunInBackground(); !running.ok()) return Complain(running);
  narrator->WaitForGoal();
  std::cout << argv[5] << " updates counted\n";
  const fedwatt::Status closed = client->Close(5000);
  return closed.ok() ? 0 : Complain(closed);
}
