#include "simulation/virtual_transport.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/wire/as_received.h"

namespace fedwatt {
namespace {

// Until a device knows that its connection is broken.
constexpr int64_t kBrokenMs = 10'000;

absl::Status Broken() { return absl::UnavailableError("the connection broke"); }

absl::Status Down() { return absl::UnavailableError("no coordinator answers"); }

int64_t TransferMs(uint64_t bytes, double bytes_per_s) {
  return static_cast<int64_t>(std::ceil(static_cast<double>(bytes) * 1000 / bytes_per_s));
}

absl::Status WriteAt(const std::string& path, uint64_t offset, ByteSpan data) {
  absl::StatusOr<FileWriter> file =
      offset == 0 ? FileWriter::Create(path, 0600) : FileWriter::Open(path);
  FW_RETURN_IF_ERROR(file.status());
  if (file->size() != offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " holds ", file->size(), " bytes and the download should go on at ", offset));
  }
  FW_RETURN_IF_ERROR(file->Append(data));
  return file->Close();
}

}  // namespace

VirtualTransport::VirtualTransport(CoordinatorHost* host, ManualExecutor* executor, Principal who,
                                   VirtualLink link, LinkEvents events)
    : host_(host),
      executor_(executor),
      who_(std::move(who)),
      link_(link),
      events_(std::move(events)) {
  peer_ = host_->AddPeer(this);
}

VirtualTransport::~VirtualTransport() {
  *alive_ = false;
  host_->RemovePeer(peer_);
  // As a connection that closes.
  const std::map<uint64_t, CallPtr> calls = calls_;
  for (const auto& [number, call] : calls) End(call);
}

int64_t VirtualTransport::UpMs(uint64_t bytes) const {
  return link_.latency_ms + TransferMs(bytes, link_.up_bytes_per_s);
}

int64_t VirtualTransport::DownMs(uint64_t bytes) const {
  return link_.latency_ms + TransferMs(bytes, link_.down_bytes_per_s);
}

void VirtualTransport::Later(int64_t delay_ms, std::function<void()> task) {
  executor_->PostAfter(delay_ms, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

template <typename Result>
VirtualTransport::CallPtr VirtualTransport::Begin(
    absl::AnyInvocable<void(Result)> done, std::function<Result(absl::Status)> failure,
    std::shared_ptr<absl::AnyInvocable<void(Result)>>* kept) {
  *kept = std::make_shared<absl::AnyInvocable<void(Result)>>(std::move(done));
  auto call = std::make_shared<Call>();
  call->fail = [kept = *kept, failure = std::move(failure)](absl::Status status) {
    (*kept)(failure(std::move(status)));
  };
  call->number = ++next_call_;
  calls_[call->number] = call;
  return call;
}

bool VirtualTransport::End(const CallPtr& call) {
  if (call->fail == nullptr) return false;
  call->fail = nullptr;
  calls_.erase(call->number);
  if (call->check_in != 0 && call->life == host_->life() && host_->coordinator() != nullptr) {
    host_->coordinator()->CancelCheckIn(call->check_in);
  }
  return true;
}

void VirtualTransport::FailLater(const CallPtr& call, int64_t delay_ms, absl::Status status) {
  Later(delay_ms, [this, call, status = std::move(status)] {
    const std::function<void(absl::Status)> fail = call->fail;
    if (End(call)) fail(status);
  });
}

template <typename Result>
void VirtualTransport::Answer(const CallPtr& call,
                              const std::shared_ptr<absl::AnyInvocable<void(Result)>>& done,
                              int64_t delay_ms, Result result) {
  call->check_in = 0;
  auto kept = std::make_shared<Result>(std::move(result));
  Later(delay_ms, [this, call, done, kept] {
    if (End(call)) (*done)(std::move(*kept));
  });
}

void VirtualTransport::Arrive(const CallPtr& call, bool heard,
                              const std::function<void(Coordinator&, bool)>& act) {
  Coordinator* const coordinator = host_->coordinator();
  if (coordinator != nullptr) return act(*coordinator, heard);
  if (heard) FailLater(call, link_.latency_ms, Down());
}

void VirtualTransport::Send(const CallPtr& call, uint64_t bytes,
                            std::function<void(Coordinator&, bool)> act) {
  const MessageFault* const fault = host_->faults().Next();
  const int64_t travel_ms = UpMs(bytes);
  if (fault == nullptr) {
    return Later(travel_ms, [this, call, act = std::move(act)] { Arrive(call, true, act); });
  }
  if (events_.fault) events_.fault(*fault);
  const auto arrive = [this, call, act = std::move(act)](int64_t delay_ms, bool heard) {
    Later(delay_ms, [this, call, heard, act] { Arrive(call, heard, act); });
  };
  switch (fault->kind) {
    case FaultKind::kDropRequest:
      return FailLater(call, kBrokenMs, Broken());
    case FaultKind::kDropReply:
    case FaultKind::kCut:
      FailLater(call, travel_ms + kBrokenMs, Broken());
      return arrive(travel_ms, false);
    case FaultKind::kDelay:
      return arrive(travel_ms + fault->delay_ms, true);
    case FaultKind::kDuplicate:
      arrive(travel_ms, true);
      return arrive(travel_ms + fault->delay_ms, false);
  }
}

void VirtualTransport::CheckIn(const CheckInRequest& request, Done<CheckInResponse> done) {
  std::shared_ptr<Done<CheckInResponse>> kept;
  const CallPtr call = Begin<absl::StatusOr<CheckInResponse>>(
      std::move(done), [](absl::Status status) { return status; }, &kept);
  auto received = wire::AsReceived(request);
  if (!received.ok()) return FailLater(call, 0, received.status());
  if (events_.check_in_sent) events_.check_in_sent(received->bytes);
  Send(call, received->bytes,
       [this, call, kept, request = std::move(received->value)](Coordinator& to, bool heard) {
         const uint64_t life = host_->life();
         const uint64_t id = to.CheckIn(
             who_, request,
             [this, alive = alive_, call, kept, heard](absl::StatusOr<CheckInResponse> answer) {
               if (!*alive || !heard || call->fail == nullptr) return;
               uint64_t bytes = 0;
               absl::StatusOr<CheckInResponse> response = absl::UnknownError("no answer");
               if (!answer.ok()) {
                 response = answer.status();
               } else if (auto arrived = wire::AsReceived(*std::move(answer)); arrived.ok()) {
                 bytes = arrived->bytes;
                 response = std::move(arrived->value);
               } else {
                 response = arrived.status();
               }
               if (events_.check_in_answered) events_.check_in_answered(response, bytes);
               Answer(call, kept, DownMs(bytes), std::move(response));
             });
         if (!heard) return;
         call->check_in = id;
         call->life = life;
       });
}

void VirtualTransport::SubmitReport(const Report& report, Done<ReportReply> done) {
  std::shared_ptr<Done<ReportReply>> kept;
  const CallPtr call = Begin<absl::StatusOr<ReportReply>>(
      std::move(done), [](absl::Status status) { return status; }, &kept);
  auto received = wire::AsReceived(report);
  if (!received.ok()) return FailLater(call, 0, received.status());
  if (events_.report_sent) events_.report_sent(received->value, received->bytes);
  Send(call, received->bytes,
       [this, call, kept, report = std::move(received->value)](Coordinator& to, bool heard) {
         to.SubmitReport(
             who_, report,
             [this, alive = alive_, call, kept, heard](absl::StatusOr<ReportReply> reply) {
               if (!*alive || !heard || call->fail == nullptr) return;
               Answer(call, kept, link_.latency_ms, std::move(reply));
             });
       });
}

void VirtualTransport::UploadStatus(const std::string& assignment_id, const Digest& sha256,
                                    Done<UploadOffset> done) {
  std::shared_ptr<Done<UploadOffset>> kept;
  const CallPtr call = Begin<absl::StatusOr<UploadOffset>>(
      std::move(done), [](absl::Status status) { return status; }, &kept);
  Send(call, 0, [this, call, kept, assignment_id, sha256](Coordinator& to, bool heard) {
    absl::StatusOr<UploadOffset> offset = to.UploadStatus(who_, assignment_id, sha256);
    if (heard) Answer(call, kept, link_.latency_ms, std::move(offset));
  });
}

void VirtualTransport::Download(const Digest& sha256, uint64_t offset, const std::string& path,
                                absl::AnyInvocable<void(DownloadResult)> done) {
  std::shared_ptr<absl::AnyInvocable<void(DownloadResult)>> kept;
  const CallPtr call = Begin<DownloadResult>(
      std::move(done),
      [](absl::Status status) { return DownloadResult{.status = std::move(status)}; }, &kept);
  Send(call, 0, [this, call, kept, sha256, offset, path](Coordinator& to, bool heard) {
    if (call->fail == nullptr) return;
    auto blob = to.OpenBlob(who_, sha256);
    if (!blob.ok()) return FailLater(call, link_.latency_ms, blob.status());
    const uint64_t size = (*blob)->bytes().size();
    const uint64_t rest = size - std::min(offset, size);
    Later(DownMs(heard ? rest : rest / 2),
          [this, call, kept, blob = *std::move(blob), offset, path, heard] {
            EndDownload(call, blob, offset, path, !heard, kept);
          });
  });
}

void VirtualTransport::EndDownload(
    const CallPtr& call, std::shared_ptr<const MappedFile> blob, uint64_t offset,
    const std::string& path, bool cut,
    const std::shared_ptr<absl::AnyInvocable<void(DownloadResult)>>& done) {
  if (!End(call)) return;
  const ByteSpan bytes = blob->bytes();
  DownloadResult result;
  result.total = bytes.size();
  if (offset > bytes.size()) {
    result.status = absl::OutOfRangeError("the blob ends before that offset");
    return (*done)(std::move(result));
  }
  const uint64_t rest = bytes.size() - offset;
  const uint64_t got = cut ? rest / 2 : rest;
  result.status = WriteAt(path, offset, bytes.subspan(offset, got));
  if (result.status.ok()) {
    result.received = got;
    if (cut) result.status = Broken();
    if (!cut && offset == 0) result.sha256 = Sha256Of(bytes);
  }
  (*done)(std::move(result));
}

void VirtualTransport::Upload(const Report& report, uint64_t offset, const std::string& path,
                              absl::AnyInvocable<void(UploadResult)> done) {
  std::shared_ptr<absl::AnyInvocable<void(UploadResult)>> kept;
  const CallPtr call = Begin<UploadResult>(
      std::move(done), [](absl::Status status) { return UploadResult{.reply = std::move(status)}; },
      &kept);
  auto received = wire::AsReceived(report);
  if (!received.ok()) return FailLater(call, 0, received.status());
  if (events_.report_sent) {
    events_.report_sent(received->value, received->bytes + report.update.size - offset);
  }
  if (events_.upload_begun) events_.upload_begun(received->value, path);
  Send(call, received->bytes,
       [this, call, kept, report = std::move(received->value), offset, path](Coordinator& to,
                                                                             bool heard) {
         if (call->fail == nullptr) return;
         StartUpload(call, to, report, offset, path, !heard, kept);
       });
}

void VirtualTransport::StartUpload(
    const CallPtr& call, Coordinator& coordinator, const Report& report, uint64_t offset,
    const std::string& path, bool cut,
    const std::shared_ptr<absl::AnyInvocable<void(UploadResult)>>& done) {
  absl::StatusOr<Coordinator::UploadStart> start = coordinator.StartUpload(who_, report, offset);
  if (!start.ok()) return FailLater(call, link_.latency_ms, start.status());
  if (start->refused.has_value()) {
    return Answer(call, done, link_.latency_ms, UploadResult{.reply = *start->refused});
  }
  std::shared_ptr<UploadSession> session = std::move(start->session);
  const uint64_t rest = report.update.size - offset;
  const uint64_t sent = cut ? rest / 2 : rest;
  Later(TransferMs(sent, link_.up_bytes_per_s), [this, call, done, session, offset, sent, path, cut,
                                                 life = host_->life()] {
    if (call->fail == nullptr) return;
    if (life != host_->life() || host_->coordinator() == nullptr) {
      return FailLater(call, link_.latency_ms, Broken());
    }
    absl::StatusOr<MappedFile> file = MappedFile::Open(path);
    absl::Status status = file.status();
    for (uint64_t at = 0; status.ok() && at < sent;) {
      const uint64_t chunk = std::min<uint64_t>(bounds::kChunkBytes, sent - at);
      status = session->Append(offset + at, file->bytes().subspan(offset + at, chunk));
      at += chunk;
    }
    if (!status.ok()) return FailLater(call, link_.latency_ms, status);
    if (cut) {
      Answer(call, done, link_.latency_ms, UploadResult{.sent = sent, .reply = Broken()});
      return;
    }
    session->Finish([this, alive = alive_, call, done, sent,
                     session](absl::StatusOr<ReportReply> reply) {
      if (!*alive || call->fail == nullptr) return;
      Answer(call, done, link_.latency_ms, UploadResult{.sent = sent, .reply = std::move(reply)});
    });
  });
}

void VirtualTransport::CancelAll() {
  const std::map<uint64_t, CallPtr> calls = calls_;
  for (const auto& [number, call] : calls) {
    FailLater(call, 0, absl::CancelledError("cancelled by the device"));
  }
}

void VirtualTransport::OnCoordinatorDied() {
  const std::map<uint64_t, CallPtr> calls = calls_;
  for (const auto& [number, call] : calls) {
    call->check_in = 0;
    FailLater(call, link_.latency_ms, Broken());
  }
}

}  // namespace fedwatt
