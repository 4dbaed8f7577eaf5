#pragma once

// The fedwatt client as a library: federated learning inside of your own app. C++20; find_package
// (fedwatt) and link fedwatt::client. A guide: docs/sdk.md.
//
//   fedwatt::ClientOptions options;
//   options.server = "fl.example.org:7443";
//   ...                                      // what is required: fedwatt/options.h
//   auto client = fedwatt::Client::Open(std::move(options));
//   if (!client.ok()) return Complain(client.status());
//   client->RunInBackground();               // or Tick() in a loop of your own
//   ...
//   client->Close(5000);
//
// What the client does by itself: it asks the coordinator for work, fetches and verifies model and
// plan, has the trainer train on your data, compresses and sends the update with the energy that it
// cost, and goes on after kill -9 or a loss of power where it was. Your data never leaves the
// process, except to a trainer process that you asked for.
//
// The thread rule. Each object that you hand over is called by one thread at a time, not always the
// same one; two objects may be called at once. Every method here may be called from any thread,
// also from inside of your objects, except where its comment says otherwise.
//
// These headers are a layer over the C interface of libfedwatt_client.so, compiled into your
// program: they work with any C++20 compiler and standard library. No exception leaves the client,
// and none of yours enters it.

#include <fedwatt/detail/tables.h>
#include <fedwatt/fedwatt.h>
#include <fedwatt/options.h>
#include <fedwatt/status.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace fedwatt {

// What has happened since the client was opened: the fields of fedwatt_counts.
using Counts = fedwatt_counts;

// A handle: movable; destruction closes.
class Client {
 public:
  // Checks everything that can be checked, takes the state folder's lock and reads it; neither
  // connects nor calls your objects. Code::kInvalidArgument names the field, kFailedPrecondition:
  // another client uses the folder, or a newer version wrote it; kPermissionDenied,
  // kResourceExhausted: the folder cannot be written; kNotFound: a file that you named.
  static Result<Client> Open(const ClientOptions& options);

  Client(Client&& other) noexcept : client_(std::exchange(other.client_, nullptr)) {}
  Client& operator=(Client&& other) noexcept {
    std::swap(client_, other.client_);
    return *this;
  }
  ~Client() {
    if (client_ != nullptr) fedwatt_client_close(client_, kCloseMs, nullptr);
  }

  // Your loop: does what there is to do now without blocking (training runs on a thread of the
  // client's), and says in how many milliseconds it wants to be called again; kUntilWoken: only
  // after Listener::Wake. Calling early does no harm; a listener without Wake calls it at least
  // every 50 ms. kFailedPrecondition: a tick is running, or the background runner is. Any other
  // error: the client cannot go on and is to be closed; its state folder is sound.
  static constexpr int64_t kUntilWoken = -1;
  Result<int64_t> Tick();

  // Instead: a thread of the client's does it.
  Status RunInBackground();

  // The device needs its resources back now: what is being fetched or trained is given up and
  // reported as cancelled.
  Status CancelWork(const std::string& reason);

  Result<Counts> GetCounts() const;

  // Ends training within a step and transfers at once, keeps all state, lets go of your objects.
  // Not from inside of one of them. kDeadlineExceeded: one of your objects has not come back in
  // `timeout_ms`; the client is closed all the same, and lets go of it when it does.
  Status Close(int64_t timeout_ms);

 private:
  static constexpr int64_t kCloseMs = 10'000;

  explicit Client(fedwatt_client* client) : client_(client) {}

  fedwatt_client* client_;
};

// ---- inline

inline Result<Client> Client::Open(const ClientOptions& options) {
  detail::Tables tables(options);
  fedwatt_client* client = nullptr;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_client_open(&tables.options, &client, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  tables.Release();
  return Client(client);
}

inline Result<int64_t> Client::Tick() {
  int64_t next_wake_ms = 0;
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_client_tick(client_, &next_wake_ms, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return next_wake_ms;
}

inline Status Client::RunInBackground() {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return detail::ToStatus(fedwatt_client_run_in_background(client_, &error), error);
}

inline Status Client::CancelWork(const std::string& reason) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  return detail::ToStatus(fedwatt_client_cancel_work(client_, reason.c_str(), &error), error);
}

inline Result<Counts> Client::GetCounts() const {
  Counts counts = FEDWATT_INIT(fedwatt_counts);
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_client_counts(client_, &counts, &error);
  if (code != FEDWATT_OK) return detail::ToStatus(code, error);
  return counts;
}

inline Status Client::Close(int64_t timeout_ms) {
  fedwatt_error error = FEDWATT_INIT(fedwatt_error);
  const int32_t code = fedwatt_client_close(client_, timeout_ms, &error);
  // From inside of a callback it is still open.
  if (code != FEDWATT_FAILED_PRECONDITION) client_ = nullptr;
  return detail::ToStatus(code, error);
}

}  // namespace fedwatt
