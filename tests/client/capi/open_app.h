#pragma once

// Options of an app that are complete, for tests that then break one of them.

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "common/crypto/ed25519.h"
#include "fedwatt/fedwatt.h"

namespace fedwatt {

// A data source of `examples` examples of four inputs, whose misbehaviour a test sets.
struct TestData {
  int32_t Next(uint64_t max_examples, fedwatt_batch* batch, fedwatt_error* error) {
    if (misbehave) return misbehave(batch, error);
    if (at == examples) return FEDWATT_END;
    const uint64_t n = std::min(max_examples, examples - at);
    at += n;
    batch->examples = n;
    x.assign(n * 4, 0.5F);
    y.assign(n, 1.0F);
    batch->x = {x.data(), FEDWATT_F32, 2, {static_cast<int64_t>(n), 4}};
    batch->y = {y.data(), FEDWATT_F32, 2, {static_cast<int64_t>(n), 1}};
    return FEDWATT_OK;
  }

  uint64_t examples = 10;
  uint64_t at = 0;
  std::function<int32_t(fedwatt_batch*, fedwatt_error*)> misbehave;
  std::vector<float> x;
  std::vector<float> y;
};

// An app with every object that an app can have. `options` points into it.
class OpenApp {
 public:
  explicit OpenApp(const std::string& state_dir)
      : state_dir_(state_dir),
        key_(SigningKey::FromSeed(AsBytes(std::string(32, 'k')))->public_key().ToPem()) {
    data.ctx = this;
    data.rewind = [](void* ctx, const char*, fedwatt_error*) -> int32_t {
      static_cast<OpenApp*>(ctx)->test_data.at = 0;
      return FEDWATT_OK;
    };
    data.next = [](void* ctx, const char*, uint64_t max, fedwatt_batch* batch,
                   fedwatt_error* error) {
      return static_cast<OpenApp*>(ctx)->test_data.Next(max, batch, error);
    };
    data.destroy = &CountDestroyed;
    dataset.name = "points";
    trainer.ctx = this;
    trainer.name = "test";
    trainer.run = [](void* ctx, fedwatt_task* task, fedwatt_result* result, fedwatt_error* error) {
      return static_cast<OpenApp*>(ctx)->run(task, result, error);
    };
    trainer.destroy = &CountDestroyed;
    options.server = "127.0.0.1:1";  // where nobody listens
    options.insecure_subject = "device-1";
    options.state_dir = state_dir_.c_str();
    options.trusted_keys = &key_text_;
    options.trusted_key_count = 1;
    options.datasets = &dataset_list_;
    options.dataset_count = 1;
    options.data = &data;
    options.trainer = &trainer;
    options.no_meter = 1;
    options.no_sync = 1;
  }
  OpenApp(const OpenApp&) = delete;
  OpenApp& operator=(const OpenApp&) = delete;

  // The code; `error` and `client` say more.
  int32_t Open() { return fedwatt_client_open(&options, &client, &error); }
  int32_t Close(int64_t timeout_ms = 5000) {
    return fedwatt_client_close(client, timeout_ms, &error);
  }
  std::string message() const { return error.message; }

  TestData test_data;
  // Of the trainer; by default it uses one example and changes nothing.
  std::function<int32_t(fedwatt_task*, fedwatt_result*, fedwatt_error*)> run =
      [](fedwatt_task*, fedwatt_result* result, fedwatt_error*) -> int32_t {
    result->examples = 1;
    return FEDWATT_OK;
  };
  std::atomic<int> destroyed{0};

  fedwatt_data_source data = FEDWATT_INIT(fedwatt_data_source);
  fedwatt_dataset dataset = FEDWATT_INIT(fedwatt_dataset);
  fedwatt_trainer trainer = FEDWATT_INIT(fedwatt_trainer);
  fedwatt_options options = FEDWATT_INIT(fedwatt_options);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  fedwatt_client* client = nullptr;

 private:
  static void CountDestroyed(void* ctx) { ++static_cast<OpenApp*>(ctx)->destroyed; }

  const std::string state_dir_;
  const std::string key_;
  const char* key_text_ = key_.c_str();
  const fedwatt_dataset* dataset_list_ = &dataset;
};

}  // namespace fedwatt
