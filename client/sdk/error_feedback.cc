#include "client/sdk/error_feedback.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr std::string_view kMagic = "FWRESID1";
constexpr char kPrefix[] = "residual-";
constexpr size_t kNameDigits = 32;
constexpr size_t kHashOffset = 8;
constexpr size_t kHashedOffset = kHashOffset + sizeof(Digest);
constexpr size_t kJobOffset = kHashedOffset + 2 * sizeof(Digest) + 2 * sizeof(uint64_t);
constexpr uint64_t kBlock = 16 * 1024;  // coordinates

struct Header {
  Digest sha256{};
  Digest made_from{};
  ResidualKey key;
  size_t values_offset = 0;
};

size_t ValuesOffset(size_t job_bytes) { return (kJobOffset + job_bytes + 7) / 8 * 8; }

// Between magic and values; the hash is not known yet.
std::string HeaderBytes(const Digest& made_from, const ResidualKey& key) {
  std::string bytes(ValuesOffset(key.job.size()), '\0');
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  size_t at = kHashedOffset;
  const auto put = [&bytes, &at](const void* data, size_t size) {
    std::memcpy(bytes.data() + at, data, size);
    at += size;
  };
  const uint64_t job_bytes = key.job.size();
  put(made_from.data(), made_from.size());
  put(key.bundle.data(), key.bundle.size());
  put(&key.coordinates, sizeof(key.coordinates));
  put(&job_bytes, sizeof(job_bytes));
  put(key.job.data(), key.job.size());
  return bytes;
}

absl::StatusOr<Header> ParseHeader(const std::string& path, ByteSpan bytes) {
  const absl::Status damaged =
      absl::DataLossError(absl::StrCat(path, " is truncated or no residual of this version"));
  if (bytes.size() < kJobOffset || !AsText(bytes).starts_with(kMagic)) return damaged;
  Header header;
  size_t at = kHashOffset;
  const auto take = [&bytes, &at](void* data, size_t size) {
    std::memcpy(data, bytes.data() + at, size);
    at += size;
  };
  uint64_t job_bytes = 0;
  take(header.sha256.data(), header.sha256.size());
  take(header.made_from.data(), header.made_from.size());
  take(header.key.bundle.data(), header.key.bundle.size());
  take(&header.key.coordinates, sizeof(header.key.coordinates));
  take(&job_bytes, sizeof(job_bytes));
  if (job_bytes > bounds::kMaxIdLength || header.key.coordinates > bounds::kMaxElements) {
    return damaged;
  }
  header.values_offset = ValuesOffset(job_bytes);
  if (bytes.size() != header.values_offset + header.key.coordinates * sizeof(float)) {
    return damaged;
  }
  header.key.job.assign(AsText(bytes.subspan(at, job_bytes)));
  return header;
}

bool SameOwner(const ResidualKey& a, const ResidualKey& b) {
  return a.job == b.job && a.bundle == b.bundle && a.coordinates == b.coordinates;
}

// Jobs end without telling their clients: what they left is bounded here.
absl::Status RemoveOldest(const std::string& state_dir) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(state_dir));
  std::vector<std::pair<int64_t, std::string>> files;
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, kPrefix)) continue;
    const std::string path = absl::StrCat(state_dir, "/", name);
    const absl::StatusOr<FileInfo> info = InspectFile(path);
    if (info.ok()) files.emplace_back(info->modified_ns, path);
  }
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i + kMaxResiduals < files.size(); ++i) {
    FW_RETURN_IF_ERROR(RemoveIfExists(files[i].second));
  }
  return absl::OkStatus();
}

}  // namespace

std::string ResidualPath(const std::string& state_dir, const ResidualKey& key) {
  const std::string name = Sha256Hex(AsBytes(absl::StrCat(key.job, "\n", DigestHex(key.bundle))));
  return absl::StrCat(state_dir, "/", kPrefix, name.substr(0, kNameDigits));
}

absl::StatusOr<Residual> Residual::Open(const std::string& path, const ResidualKey& key) {
  Residual residual;
  FW_ASSIGN_OR_RETURN(residual.file_, MappedFile::Open(path));
  const ByteSpan bytes = residual.file_.bytes();
  FW_ASSIGN_OR_RETURN(const Header header, ParseHeader(path, bytes));
  if (!SameOwner(header.key, key)) {
    return absl::DataLossError(absl::StrCat(path, " is of the job ", header.key.job, " with ",
                                            header.key.coordinates, " coordinates, not of ",
                                            key.job, " with ", key.coordinates));
  }
  if (Sha256Of(bytes.subspan(kHashedOffset)) != header.sha256) {
    return absl::DataLossError(absl::StrCat(path, " does not match its own hash"));
  }
  residual.sha256_ = header.sha256;
  residual.values_ = {reinterpret_cast<const float*>(bytes.data() + header.values_offset),
                      key.coordinates};
  return residual;
}

absl::StatusOr<FeedbackStep> FeedbackStep::Open(Files files, std::span<const float> delta,
                                                float max_abs) {
  FeedbackStep step;
  step.files_ = std::move(files);
  step.delta_ = delta;
  absl::StatusOr<Residual> residual = Residual::Open(step.files_.residual_path, step.files_.key);
  if (residual.ok()) {
    step.residual_ = *std::move(residual);
  } else if (!absl::IsNotFound(residual.status())) {
    step.problem_ =
        absl::StrCat("error feedback starts anew: ", std::string(residual.status().message()));
    FW_RETURN_IF_ERROR(RemoveIfExists(step.files_.residual_path));
  }
  step.values_.resize(delta.size());
  for (uint64_t i = 0; i < delta.size(); ++i) {
    step.values_[i] = std::clamp(step.Sum(i), -max_abs, max_abs);
  }
  return step;
}

absl::Status FeedbackStep::WriteNext(const Codec& codec, std::span<const uint8_t> encoded) const {
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, codec.Open(encoded, delta_.size()));
  const std::string header = HeaderBytes(residual_.sha256(), files_.key);
  FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(files_.next_path, 0600));
  FW_RETURN_IF_ERROR(file.Append(AsBytes(header)));
  Sha256 hash;
  hash.Update(AsBytes(header).subspan(kHashedOffset));
  std::vector<float> block(std::min<uint64_t>(kBlock, delta_.size()));
  for (uint64_t begin = 0; begin < delta_.size(); begin += kBlock) {
    const uint64_t count = std::min(kBlock, delta_.size() - begin);
    FW_RETURN_IF_ERROR(decoder->Read(begin, std::span(block).first(count)));
    for (uint64_t i = 0; i < count; ++i) {
      const float left = Sum(begin + i) - block[i];
      // Only sums beyond float32 get here; they cannot be kept.
      block[i] = std::isfinite(left) ? left : 0.0F;
    }
    const ByteSpan bytes(reinterpret_cast<const uint8_t*>(block.data()), count * sizeof(float));
    hash.Update(bytes);
    FW_RETURN_IF_ERROR(file.Append(bytes));
  }
  const Digest sha256 = hash.Finish();
  FW_RETURN_IF_ERROR(file.WriteAt(kHashOffset, sha256));
  if (files_.sync) FW_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

absl::Status CommitResidual(const std::string& state_dir, const std::string& next_path, bool sync) {
  if (!FileExists(next_path)) return absl::OkStatus();
  Header next;
  {
    FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(next_path));
    FW_ASSIGN_OR_RETURN(next, ParseHeader(next_path, file.bytes()));
  }
  const std::string path = ResidualPath(state_dir, next.key);
  Digest present{};
  if (FileExists(path)) {
    FW_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    // A damaged one counts as none, as it does for the encoder.
    const absl::StatusOr<Header> header = ParseHeader(path, file.bytes());
    if (header.ok()) present = header->sha256;
  }
  if (present != next.made_from) {
    FW_RETURN_IF_ERROR(RemoveIfExists(next_path));
    return absl::FailedPreconditionError(absl::StrCat(
        "another update of the job ", next.key.job,
        " was committed since this one was encoded: what its encoding dropped is lost"));
  }
  FW_RETURN_IF_ERROR(RenameFile(next_path, path));
  if (sync) FW_RETURN_IF_ERROR(FsyncDir(state_dir));
  return RemoveOldest(state_dir);
}

}  // namespace fedwatt
