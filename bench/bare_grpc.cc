// The floor under a round: gRPC with our channel settings and nothing else. One process serves,
// others drive: told "go" on standard input, a driver downloads and uploads the given bytes on each
// of its connections, discards them, and says "done".

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/transport/channel.h"
#include "common/transport/tls_credentials.h"

namespace fedwatt::bench {
namespace {

constexpr char kDownload[] = "/bare/Download";
constexpr char kUpload[] = "/bare/Upload";

// The same bytes for every message, by reference.
grpc::ByteBuffer Chunk(uint64_t size) {
  static const std::string* const bytes = new std::string(bounds::kMaxMessageBytes, 'x');
  const grpc::Slice slice(const_cast<char*>(bytes->data()), size, grpc::Slice::STATIC_SLICE);
  return {&slice, 1};
}

grpc::ByteBuffer Number(uint64_t value) {
  const grpc::Slice slice(&value, sizeof(value));
  return {&slice, 1};
}

uint64_t ReadNumber(const grpc::ByteBuffer& message) {
  grpc::Slice slice;
  uint64_t value = 0;
  if (!message.DumpToSingleSlice(&slice).ok() || slice.size() < sizeof(value)) return 0;
  std::memcpy(&value, slice.begin(), sizeof(value));
  return value;
}

uint64_t NextChunk(uint64_t left) { return std::min<uint64_t>(left, bounds::kChunkBytes); }

// The first message says how many bytes are wanted.
class DownloadReactor final : public grpc::ServerGenericBidiReactor {
 public:
  DownloadReactor() { StartRead(&message_); }

  void OnReadDone(bool ok) override {
    left_ = ok ? ReadNumber(message_) : 0;
    WriteNext();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) left_ = 0;
    WriteNext();
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    if (left_ == 0) return Finish(grpc::Status::OK);
    const uint64_t size = NextChunk(left_);
    left_ -= size;
    message_ = Chunk(size);
    if (left_ == 0) return StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
    StartWrite(&message_);
  }

  grpc::ByteBuffer message_;
  uint64_t left_ = 0;
};

class UploadReactor final : public grpc::ServerGenericBidiReactor {
 public:
  UploadReactor() { StartRead(&message_); }

  void OnReadDone(bool ok) override {
    message_.Clear();
    if (ok) return StartRead(&message_);
    message_ = Number(1);
    StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class Service final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (context->method() == kDownload) return new DownloadReactor();
    return new UploadReactor();
  }
};

// ---- the driving side

// Calls under way; the first error stays.
class Pending {
 public:
  void Begin() {
    MutexLock lock(&mutex_);
    ++count_;
  }
  void End(const grpc::Status& status) {
    MutexLock lock(&mutex_);
    if (!status.ok() && error_.empty()) error_ = absl::StrCat("failed: ", status.error_message());
    if (--count_ == 0) idle_.NotifyAll();
  }
  // Empty, or the error.
  std::string Wait() {
    MutexLock lock(&mutex_);
    while (count_ > 0) idle_.Wait(&mutex_);
    return error_;
  }

 private:
  Mutex mutex_;
  CondVar idle_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string error_ ABSL_GUARDED_BY(mutex_);
};

struct Work {
  uint64_t down_bytes = 0;
  uint64_t up_bytes = 0;
  Pending* pending = nullptr;
};

// One stream; the upload follows the download.
class Transfer final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static void Start(grpc::GenericStub* stub, bool upload, const Work& work) {
    auto* const transfer = new Transfer(stub, upload, work);
    stub->PrepareBidiStreamingCall(&transfer->context_, upload ? kUpload : kDownload,
                                   grpc::StubOptions(), transfer);
    if (upload) {
      transfer->WriteNext();
    } else {
      transfer->outgoing_ = Number(work.down_bytes);
      transfer->StartWriteLast(&transfer->outgoing_, grpc::WriteOptions());
    }
    transfer->StartRead(&transfer->incoming_);
    transfer->StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok && upload_ && left_ > 0) WriteNext();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    incoming_.Clear();
    StartRead(&incoming_);
  }
  void OnDone(const grpc::Status& status) override {
    if (!upload_ && status.ok()) {
      Start(stub_, true, work_);
    } else {
      work_.pending->End(status);
    }
    delete this;
  }

 private:
  Transfer(grpc::GenericStub* stub, bool upload, const Work& work)
      : stub_(stub), upload_(upload), work_(work), left_(work.up_bytes) {}

  void WriteNext() {
    const uint64_t size = NextChunk(left_);
    left_ -= size;
    outgoing_ = Chunk(size);
    if (left_ == 0) return StartWriteLast(&outgoing_, grpc::WriteOptions());
    StartWrite(&outgoing_);
  }

  grpc::GenericStub* const stub_;
  const bool upload_;
  const Work work_;
  uint64_t left_;
  grpc::ClientContext context_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;
};

// Two unary calls in a row: the first brings the model, the second takes the update.
void CallTwice(grpc::GenericStub* stub, const Work& work) {
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
  };
  auto first = std::make_shared<Call>();
  first->request = Number(work.down_bytes);
  stub->UnaryCall(&first->context, kDownload, grpc::StubOptions(), &first->request,
                  &first->response, [stub, work, first](const grpc::Status& status) {
                    if (!status.ok()) return work.pending->End(status);
                    auto second = std::make_shared<Call>();
                    second->request = Chunk(work.up_bytes);
                    stub->UnaryCall(
                        &second->context, kUpload, grpc::StubOptions(), &second->request,
                        &second->response,
                        [work, second](const grpc::Status& ended) { work.pending->End(ended); });
                  });
}

struct Options {
  std::string address;
  std::string tls_dir;
  int connections = 1;
  uint64_t down_bytes = 0;
  uint64_t up_bytes = 0;
  bool unary = false;
};

int Serve(const Options& options) {
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (!options.tls_dir.empty()) {
    credentials = MakeServerCredentials(TlsFiles::In(options.tls_dir, "coordinator"));
  }
  Service service;
  grpc::ServerBuilder builder;
  ApplyServerArguments(builder);
  int port = 0;
  builder.AddListeningPort(options.address, credentials, &port);
  builder.RegisterCallbackGenericService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "cannot listen on %s\n", options.address.c_str());
    return 1;
  }
  std::printf("%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

int Drive(const Options& options) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options.tls_dir.empty()) {
    const auto identity =
        LoadTlsIdentity(TlsFiles::In(options.tls_dir, "client"), SystemClock().NowMs());
    if (!identity.ok()) {
      std::fprintf(stderr, "%s\n", std::string(identity.status().message()).c_str());
      return 1;
    }
    credentials = MakeChannelCredentials(*identity);
  }
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  for (int i = 0; i < options.connections; ++i) {
    stubs.push_back(std::make_unique<grpc::GenericStub>(OpenChannel(options.address, credentials)));
  }
  Pending pending;
  for (std::string line; std::getline(std::cin, line);) {
    const Work work{options.down_bytes, options.up_bytes, &pending};
    for (const auto& stub : stubs) {
      pending.Begin();
      if (options.unary) {
        CallTwice(stub.get(), work);
      } else {
        Transfer::Start(stub.get(), false, work);
      }
    }
    const std::string error = pending.Wait();
    std::printf("%s\n", error.empty() ? "done" : error.c_str());
    std::fflush(stdout);
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app{"The floor under a round: gRPC alone. Started by fedwatt-bench."};
  Options options;
  app.require_subcommand(1);
  CLI::App* const serve = app.add_subcommand("serve", "answer; prints the port");
  serve->add_option("--listen", options.address)->default_val("127.0.0.1:0");
  serve->add_option("--tls", options.tls_dir, "folder of certificates; without: no TLS");
  CLI::App* const drive = app.add_subcommand("drive", "one pass for each line of standard input");
  drive->add_option("--server", options.address)->required();
  drive->add_option("--tls", options.tls_dir, "folder of certificates; without: no TLS");
  drive->add_option("--connections", options.connections);
  drive->add_option("--down", options.down_bytes, "bytes that each connection downloads");
  drive->add_option("--up", options.up_bytes, "bytes that each connection uploads");
  drive->add_flag("--unary", options.unary, "two unary calls instead of two streams");
  CLI11_PARSE(app, argc, argv);
  return serve->parsed() ? Serve(options) : Drive(options);
}

}  // namespace
}  // namespace fedwatt::bench

int main(int argc, char** argv) { return fedwatt::bench::Main(argc, argv); }
