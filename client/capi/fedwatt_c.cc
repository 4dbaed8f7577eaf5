// The functions of fedwatt.h: from handles and structs to objects, and from statuses and exceptions
// to codes. Nothing but that.

#include <dlfcn.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/capi/app_object.h"
#include "client/capi/app_task.h"
#include "client/capi/client_setup.h"
#include "client/capi/embedded_client.h"
#include "client/capi/host_loop.h"
#include "client/capi/struct_check.h"
#include "client/sdk/version.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "fedwatt/fedwatt.h"

namespace fedwatt {
namespace {

// Runs `body`, which gives a status, and answers with its code.
template <typename Body>
int32_t Answer(fedwatt_error* error, Body body) noexcept {
  try {
    return GiveStatus(body(), error);
  } catch (const std::bad_alloc&) {
    return fedwatt_fail(error, FEDWATT_RESOURCE_EXHAUSTED, "out of memory");
  } catch (...) {
    return fedwatt_fail(error, FEDWATT_INTERNAL, "an exception in the client library");
  }
}

absl::Status NotLive(const char* what) {
  return absl::InvalidArgumentError(
      absl::StrCat("this is not a live ", what, "; it is NULL, was closed, or its call is over"));
}

template <typename Body>
int32_t WithTask(fedwatt_task* handle, fedwatt_error* error, Body body) noexcept {
  return Answer(error, [&]() -> absl::Status {
    const std::shared_ptr<AppTask> task = LiveTasks().Find(handle);
    return task == nullptr ? NotLive("task") : body(*task);
  });
}

template <typename Body>
int32_t WithClient(fedwatt_client* handle, fedwatt_error* error, Body body) noexcept {
  return Answer(error, [&]() -> absl::Status {
    const std::shared_ptr<EmbeddedClient> client = LiveClients().Find(handle);
    return client == nullptr ? NotLive("client") : body(*client);
  });
}

absl::Status NullPointer(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat(what, " is NULL"));
}

const Clock* HostClock() {
  static const SystemClock clock;
  return &clock;
}

// Beside this library: lib[/ARCH]/libfedwatt_client.so and bin/fedwatt-torch.
std::string FindTorchProgram() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&fedwatt_version), &info) == 0) return "";
  const std::string folder = DirName(info.dli_fname);
  for (const char* way : {"/../bin/fedwatt-torch", "/../../bin/fedwatt-torch"}) {
    std::string path = folder + way;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace
}  // namespace fedwatt

using fedwatt::Answer;
using fedwatt::AppTask;
using fedwatt::EmbeddedClient;
using fedwatt::GiveStruct;
using fedwatt::LiveClients;
using fedwatt::LiveTasks;
using fedwatt::NullPointer;
using fedwatt::WithClient;
using fedwatt::WithTask;

extern "C" {

int32_t fedwatt_task_plan(fedwatt_task* task, fedwatt_plan* plan, fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) { return GiveStruct(t.MakePlan(), plan, "plan"); });
}

size_t fedwatt_task_parameter_count(fedwatt_task* task) {
  size_t count = 0;
  WithTask(task, nullptr, [&](AppTask& t) {
    count = t.parameter_count();
    return absl::OkStatus();
  });
  return count;
}

int32_t fedwatt_task_parameter(fedwatt_task* task, size_t index, fedwatt_parameter* parameter,
                               fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) -> absl::Status {
    FW_ASSIGN_OR_RETURN(const fedwatt_parameter found, t.Parameter(index));
    return GiveStruct(found, parameter, "parameter");
  });
}

int32_t fedwatt_task_artifact(fedwatt_task* task, const char* format, const void** data,
                              size_t* bytes, fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) -> absl::Status {
    if (format == nullptr || data == nullptr || bytes == nullptr) {
      return NullPointer("format, data or bytes");
    }
    FW_ASSIGN_OR_RETURN(const fedwatt::ByteSpan found, t.ArtifactOf(format));
    *data = found.data();
    *bytes = found.size();
    return absl::OkStatus();
  });
}

int32_t fedwatt_task_rewind(fedwatt_task* task, fedwatt_error* error) {
  return WithTask(task, error, [](AppTask& t) { return t.Rewind(); });
}

int32_t fedwatt_task_next(fedwatt_task* task, uint64_t max_examples, fedwatt_batch* batch,
                          fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) -> absl::Status {
    FW_ASSIGN_OR_RETURN(const fedwatt_batch next, t.Next(max_examples));
    return GiveStruct(next, batch, "batch");
  });
}

int32_t fedwatt_task_progress(fedwatt_task* task, uint64_t steps_done, uint64_t steps_total,
                              double loss, fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) {
    t.Progress({.steps_done = steps_done, .steps_total = steps_total, .loss = loss});
    return absl::OkStatus();
  });
}

int32_t fedwatt_task_metric(fedwatt_task* task, const char* name, double value,
                            fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) {
    return name == nullptr ? NullPointer("name") : t.Metric(name, value);
  });
}

int32_t fedwatt_task_cancelled(fedwatt_task* task) {
  int32_t cancelled = 1;
  WithTask(task, nullptr, [&](AppTask& t) {
    cancelled = t.cancelled() ? 1 : 0;
    return absl::OkStatus();
  });
  return cancelled;
}

int32_t fedwatt_task_save(fedwatt_task* task, const void* data, size_t bytes, uint64_t steps,
                          fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) {
    if (data == nullptr) return NullPointer("data");
    return t.Save({static_cast<const uint8_t*>(data), bytes}, steps);
  });
}

int32_t fedwatt_task_saved(fedwatt_task* task, const void** data, size_t* bytes,
                           fedwatt_error* error) {
  return WithTask(task, error, [&](AppTask& t) -> absl::Status {
    if (data == nullptr || bytes == nullptr) return NullPointer("data or bytes");
    FW_ASSIGN_OR_RETURN(const fedwatt::ByteSpan found, t.Saved());
    *data = found.data();
    *bytes = found.size();
    return absl::OkStatus();
  });
}

int32_t fedwatt_client_open(const fedwatt_options* options, fedwatt_client** client,
                            fedwatt_error* error) {
  return Answer(error, [&]() -> absl::Status {
    if (client == nullptr) return NullPointer("client");
    *client = nullptr;
    const fedwatt::Clock* const clock = fedwatt::HostClock();
    FW_ASSIGN_OR_RETURN(fedwatt::ClientSetup setup, fedwatt::ReadOptions(options, *clock));
    FW_ASSIGN_OR_RETURN(std::shared_ptr<EmbeddedClient> opened,
                        EmbeddedClient::Open(std::move(setup), clock));
    *client = static_cast<fedwatt_client*>(const_cast<void*>(LiveClients().Add(std::move(opened))));
    return absl::OkStatus();
  });
}

int32_t fedwatt_client_tick(fedwatt_client* client, int64_t* next_wake_ms, fedwatt_error* error) {
  return WithClient(client, error, [&](EmbeddedClient& c) -> absl::Status {
    FW_ASSIGN_OR_RETURN(const int64_t next_ms, c.Tick());
    if (next_wake_ms != nullptr) *next_wake_ms = next_ms;
    return absl::OkStatus();
  });
}

int32_t fedwatt_client_run_in_background(fedwatt_client* client, fedwatt_error* error) {
  return WithClient(client, error, [](EmbeddedClient& c) { return c.RunInBackground(); });
}

int32_t fedwatt_client_cancel_work(fedwatt_client* client, const char* reason,
                                   fedwatt_error* error) {
  return WithClient(client, error, [&](EmbeddedClient& c) {
    return c.CancelWork(reason == nullptr ? "" : reason);
  });
}

int32_t fedwatt_client_counts(fedwatt_client* client, fedwatt_counts* counts,
                              fedwatt_error* error) {
  return WithClient(client, error,
                    [&](EmbeddedClient& c) { return GiveStruct(c.counts(), counts, "counts"); });
}

int32_t fedwatt_client_close(fedwatt_client* client, int64_t timeout_ms, fedwatt_error* error) {
  return Answer(error, [&]() -> absl::Status {
    if (fedwatt::AppCall::IsUnderWay()) {
      return absl::FailedPreconditionError(
          "a client cannot be closed from inside of a callback; leave the callback first");
    }
    const std::shared_ptr<EmbeddedClient> closing = LiveClients().Find(client);
    if (closing == nullptr) return fedwatt::NotLive("client");
    LiveClients().Remove(client);
    return closing->Close(timeout_ms);
  });
}

uint32_t fedwatt_abi_version(void) { return FEDWATT_ABI_VERSION; }

const char* fedwatt_version(void) { return fedwatt::kSdkVersion; }

const char* fedwatt_code_name(int32_t code) {
  switch (code) {
    case FEDWATT_OK:
      return "OK";
    case FEDWATT_CANCELLED:
      return "CANCELLED";
    case FEDWATT_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case FEDWATT_DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case FEDWATT_NOT_FOUND:
      return "NOT_FOUND";
    case FEDWATT_PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case FEDWATT_RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case FEDWATT_FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case FEDWATT_END:
      return "END";
    case FEDWATT_UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case FEDWATT_INTERNAL:
      return "INTERNAL";
    case FEDWATT_UNAVAILABLE:
      return "UNAVAILABLE";
    case FEDWATT_DATA_LOSS:
      return "DATA_LOSS";
    case FEDWATT_UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    default:
      return "UNKNOWN";
  }
}

size_t fedwatt_dtype_bytes(int32_t dtype) {
  if (dtype < FEDWATT_F32 || dtype > FEDWATT_BOOL) return 0;
  return fedwatt::DTypeBytes(static_cast<fedwatt::DType>(dtype));
}

const char* fedwatt_torch_program(void) {
  static const auto* const path = new std::string(fedwatt::FindTorchProgram());
  return path->c_str();
}

}  // extern "C"
