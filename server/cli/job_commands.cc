#include <sys/random.h>
#include <unistd.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/hex.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/crypto/ed25519.h"
#include "common/wire/job_file.h"
#include "common/wire/job_wire.h"
#include "common/wire/message_json.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/job_text.h"
#include "server/cli/job_watch.h"
#include "server/cli/scratch_path.h"

namespace fedwatt::cli {
namespace {

std::string NewRequestId() {
  uint8_t random[16];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) return "";
  return HexEncode(ByteSpan(random));
}

void Say(const Context& context, const std::string& text) {
  if (!context.json) std::cout << text << std::endl;
}

// The bundle to send: as it is, or a copy with the owner's signature.
absl::StatusOr<std::string> SignedBundle(const Context& context, const std::string& path,
                                         const std::string& key_path, const ScratchPath& scratch) {
  FW_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(path));
  if (key_path.empty()) {
    if (bundle->signer_key_ids().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("bundle ", path,
                       " is not signed, and clients run signed models only; give --key with the "
                       "job owner's key (`fedwatt certs keys` makes one)"));
    }
    return path;
  }
  FW_ASSIGN_OR_RETURN(const SigningKey key, SigningKey::Load(key_path));
  for (const std::string& signer : bundle->signer_key_ids()) {
    if (signer == key.public_key().KeyId()) return path;
  }
  FW_RETURN_IF_ERROR(BundleWriter::WriteWithTensors(scratch.path(), *bundle, bundle->Tensors()));
  FW_RETURN_IF_ERROR(BundleWriter::Sign(scratch.path(), key));
  Say(context, absl::StrCat("signed with key ", key.public_key().KeyId()));
  return scratch.path();
}

absl::StatusOr<v1::Job> Submit(const Context& context, const RunOptions& options,
                               AdminClient& client) {
  JobOverrides overrides{.environment = JobEnvironment(), .set = options.set};
  if (!options.bundle.empty()) overrides.set.push_back("model.bundle=" + options.bundle);
  FW_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobFile(options.job_file, overrides));
  if (spec.model.bundle.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.job_file,
                     ": model.bundle is missing; write `bundle = \"model.fwb\"` below [model] "
                     "(`fedwatt-torch new` or `import` makes one), or give --bundle"));
  }
  FW_ASSIGN_OR_RETURN(const ScratchPath scratch, ScratchPath::InTemp(".fwb"));
  FW_ASSIGN_OR_RETURN(const std::string bundle,
                      SignedBundle(context, spec.model.bundle, options.key, scratch));
  FW_ASSIGN_OR_RETURN(const v1::UploadBundleResponse sent, client.UploadBundle(bundle, nullptr));
  v1::SubmitJobRequest request;
  wire::ToProto(spec, request.mutable_spec());
  request.set_bundle_sha256(sent.sha256());
  request.set_request_id(options.request_id.empty() ? NewRequestId() : options.request_id);
  return client.SubmitJob(request);
}

template <typename Message>
int Print(const Context& context, const Message& message, const std::string& text) {
  std::cout << (context.json ? wire::MessageToJson(message) + "\n" : text) << std::flush;
  return kOk;
}

}  // namespace

int RunJob(const Context& context, const RunOptions& options) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto job = Submit(context, options, **client);
  if (!job.ok()) return Fail(context, job.status());
  if (options.detach) {
    return Print(
        context, *job,
        absl::StrCat("job ", job->id(), " runs; `fedwatt watch ", job->id(), "` shows it\n"));
  }
  Say(context, absl::StrCat("job ", job->id(), ": ", job->spec().rounds(), " rounds of ",
                            job->spec().round().goal(), " reports"));
  const auto ended = WatchUntilEnd(context, **client, job->id());
  if (!ended.ok()) return Fail(context, ended.status());
  return EndOfJob(context, *ended, options.report);
}

int WatchJob(const Context& context, const WatchOptions& options) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto ended = WatchUntilEnd(context, **client, options.job);
  if (!ended.ok()) return Fail(context, ended.status());
  return EndOfJob(context, *ended, options.report);
}

int ListJobs(const Context& context, bool all) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto jobs = (*client)->ListJobs(all);
  if (!jobs.ok()) return Fail(context, jobs.status());
  return Print(context, *jobs, JobTable(*jobs));
}

int StopJob(const Context& context, const StopOptions& options) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto job = (*client)->StopJob(options.job, options.reason);
  if (!job.ok()) return Fail(context, job.status());
  return Print(context, *job,
               absl::StrCat("job ", job->id(), " is stopped after ", job->rounds_done(),
                            " rounds; `fedwatt resume ", job->id(), "` goes on\n"));
}

int ResumeJob(const Context& context, const std::string& name) {
  const auto client = context.Connect();
  if (!client.ok()) return Fail(context, client.status());
  const auto job = (*client)->ResumeJob(name);
  if (!job.ok()) return Fail(context, job.status());
  return Print(
      context, *job,
      absl::StrCat("job ", job->id(), " runs again; `fedwatt watch ", job->id(), "` shows it\n"));
}

}  // namespace fedwatt::cli
