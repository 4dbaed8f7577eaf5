#include "server/store/spool_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Magic, size, hash, bytes there, length of the id, id. Little-endian, of fixed length.
constexpr char kMagic[9] = "FWSPOOL2";
constexpr size_t kMagicBytes = 8;
constexpr size_t kHashOffset = 16;
constexpr size_t kHeldOffset = 48;
constexpr size_t kIdLengthOffset = 56;
constexpr size_t kIdOffset = 64;
constexpr size_t kHeaderBytes = kIdOffset + bounds::kMaxIdLength;

void PutU64(uint64_t value, uint8_t* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t GetU64(const uint8_t* in) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= static_cast<uint64_t>(in[i]) << (8 * i);
  return value;
}

using Header = std::array<uint8_t, kHeaderBytes>;

Header MakeHeader(const SpoolFileId& id, uint64_t held) {
  Header header{};
  std::memcpy(header.data(), kMagic, kMagicBytes);
  PutU64(id.size, header.data() + kMagicBytes);
  std::copy(id.sha256.begin(), id.sha256.end(), header.begin() + kHashOffset);
  PutU64(held, header.data() + kHeldOffset);
  PutU64(id.assignment_id.size(), header.data() + kIdLengthOffset);
  std::copy(id.assignment_id.begin(), id.assignment_id.end(), header.begin() + kIdOffset);
  return header;
}

std::optional<SpoolFileId> ParseHeader(const Header& header) {
  const uint64_t length = GetU64(header.data() + kIdLengthOffset);
  if (std::memcmp(header.data(), kMagic, kMagicBytes) != 0 || length > bounds::kMaxIdLength) {
    return std::nullopt;
  }
  SpoolFileId id;
  id.size = GetU64(header.data() + kMagicBytes);
  std::copy_n(header.begin() + kHashOffset, id.sha256.size(), id.sha256.begin());
  id.assignment_id.assign(header.begin() + kIdOffset,
                          header.begin() + kIdOffset + static_cast<ptrdiff_t>(length));
  return id;
}

class Update final : public SpooledUpdate {
 public:
  Update(SpoolReader reader, uint64_t size, std::shared_ptr<const bool> in_use)
      : reader_(std::move(reader)), size_(size), in_use_(std::move(in_use)) {}

  uint64_t size() const override { return size_; }

  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) const override {
    if (offset > size_ || out.size() > size_ - offset) {
      return absl::OutOfRangeError(absl::StrCat("cannot read ", out.size(), " bytes at ", offset,
                                                " of an update of ", size_));
    }
    return reader_.ReadAt(kHeaderBytes + offset, out);
  }

 private:
  const SpoolReader reader_;
  const uint64_t size_;
  const std::shared_ptr<const bool> in_use_;
};

}  // namespace

SpoolReader::SpoolReader(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

absl::StatusOr<SpoolReader> SpoolReader::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(errno, "open", path);
  return SpoolReader(path, fd);
}

SpoolReader::SpoolReader(SpoolReader&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

SpoolReader& SpoolReader::operator=(SpoolReader&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

SpoolReader::~SpoolReader() {
  if (fd_ >= 0) close(fd_);
}

absl::Status SpoolReader::ReadAt(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(errno, "read", path_);
    if (got == 0) {
      return absl::OutOfRangeError(absl::StrCat(path_, " ends at byte ", offset));
    }
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

SpoolFile::SpoolFile(std::string path, SpoolFileId id)
    : path_(std::move(path)), id_(std::move(id)), readers_(std::make_shared<const bool>(true)) {}

std::unique_ptr<SpoolFile> SpoolFile::Recover(const std::string& path) {
  const absl::StatusOr<uint64_t> length = FileSize(path);
  absl::StatusOr<SpoolReader> reader = SpoolReader::Open(path);
  Header header;
  if (!length.ok() || !reader.ok() || !reader->ReadAt(0, header).ok()) return nullptr;
  const std::optional<SpoolFileId> id = ParseHeader(header);
  const uint64_t held = GetU64(header.data() + kHeldOffset);
  if (!id || held > id->size || held > *length - kHeaderBytes) return nullptr;
  auto file = std::make_unique<SpoolFile>(path, *id);
  MutexLock lock(&file->mutex_);
  file->begun_ = true;
  file->complete_ = held == id->size;
  file->held_.store(held);
  return file;
}

uint64_t SpoolFile::NewStream() {
  MutexLock lock(&mutex_);
  writer_.reset();
  return ++stream_;
}

absl::Status SpoolFile::CheckStream(uint64_t stream) const {
  if (!void_ && stream == stream_) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("the upload of ", id_.assignment_id,
                   void_ ? " was dropped" : " goes on over a newer connection",
                   "; ask for its offset before sending more"));
}

absl::Status SpoolFile::Append(uint64_t stream, uint64_t offset, std::span<const uint8_t> data) {
  MutexLock lock(&mutex_);
  FW_RETURN_IF_ERROR(CheckStream(stream));
  const uint64_t held = held_.load(std::memory_order_relaxed);
  if (offset != held) {
    return absl::InvalidArgumentError(absl::StrCat("the upload of ", id_.assignment_id, " is at ",
                                                   held, " bytes, and a piece came for ", offset,
                                                   "; ask for its offset and go on there"));
  }
  if (data.size() > id_.size - held) {
    return absl::InvalidArgumentError(absl::StrCat("the upload of ", id_.assignment_id,
                                                   " was declared as ", id_.size, " bytes; ", held,
                                                   " are there and ", data.size(), " more came"));
  }
  if (data.empty()) return absl::OkStatus();
  FW_RETURN_IF_ERROR(HashHeld());
  FW_RETURN_IF_ERROR(Write(data));
  hash_.Update(data);
  hashed_ = held + data.size();
  held_.store(hashed_, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status SpoolFile::Write(std::span<const uint8_t> data) {
  if (!begun_) return Begin(data);
  if (!writer_) {
    FW_ASSIGN_OR_RETURN(writer_, FileWriter::Open(path_));
  }
  const uint64_t held = held_.load();
  FW_RETURN_IF_ERROR(writer_->WriteAt(kHeaderBytes + held, data));
  // Killed before this, the piece is sent again.
  std::array<uint8_t, sizeof(uint64_t)> now_held;
  PutU64(held + data.size(), now_held.data());
  return writer_->WriteAt(kHeldOffset, now_held);
}

// The header with the first piece. Killed half-way it leaves a file without a valid header, or one
// whose hash is wrong: either is found out before it is believed.
absl::Status SpoolFile::Begin(std::span<const uint8_t> data) {
  absl::StatusOr<FileWriter> file = FileWriter::Open(path_);
  if (absl::IsNotFound(file.status())) file = FileWriter::Create(path_);
  FW_RETURN_IF_ERROR(file.status());
  // Not more of the disk than was declared.
  if (file->size() > kHeaderBytes + id_.size) {
    FW_RETURN_IF_ERROR(file->Truncate(kHeaderBytes + id_.size));
  }
  const Header header = MakeHeader(id_, data.size());
  if (data.size() <= bounds::kMaxInlineBytes) {  // copying costs less than a second call
    std::vector<uint8_t> both;
    both.reserve(header.size() + data.size());
    both.insert(both.end(), header.begin(), header.end());
    both.insert(both.end(), data.begin(), data.end());
    FW_RETURN_IF_ERROR(file->WriteAt(0, both));
  } else {
    FW_RETURN_IF_ERROR(file->WriteAt(kHeaderBytes, data));
    FW_RETURN_IF_ERROR(file->WriteAt(0, header));
  }
  writer_ = *std::move(file);
  begun_ = true;
  return absl::OkStatus();
}

// Brings hash_ up to what an earlier process wrote.
absl::Status SpoolFile::HashHeld() {
  const uint64_t held = held_.load();
  if (hashed_ == held) return absl::OkStatus();
  FW_ASSIGN_OR_RETURN(const SpoolReader reader, SpoolReader::Open(path_));
  std::vector<uint8_t> buffer(std::min<uint64_t>(held - hashed_, bounds::kChunkBytes));
  while (hashed_ < held) {
    const std::span<uint8_t> piece(buffer.data(),
                                   std::min<uint64_t>(buffer.size(), held - hashed_));
    FW_RETURN_IF_ERROR(reader.ReadAt(kHeaderBytes + hashed_, piece));
    hash_.Update(piece);
    hashed_ += piece.size();
  }
  return absl::OkStatus();
}

// All bytes there and the hash right. DATA_LOSS makes the upload void.
absl::Status SpoolFile::Verify() {
  if (verified_) return absl::OkStatus();
  std::string fault;
  if (held_.load() < id_.size) {
    fault = absl::StrCat("ended after ", held_.load(), " of ", id_.size, " bytes");
  } else {
    FW_RETURN_IF_ERROR(HashHeld());
    const Digest found = hash_.Finish();
    hash_.Reset();
    hashed_ = 0;
    verified_ = found == id_.sha256;
    if (!verified_) {
      fault = absl::StrCat("has SHA-256 ", DigestHex(found), " and was declared as ",
                           DigestHex(id_.sha256));
    }
  }
  if (fault.empty()) return absl::OkStatus();
  void_ = true;
  writer_.reset();
  held_.store(0);
  return absl::DataLossError(
      absl::StrCat("the upload of ", id_.assignment_id, " ", fault, "; send it again"));
}

absl::Status SpoolFile::Finish(uint64_t stream) {
  MutexLock lock(&mutex_);
  FW_RETURN_IF_ERROR(CheckStream(stream));
  FW_RETURN_IF_ERROR(Verify());
  if (!begun_) FW_RETURN_IF_ERROR(Begin({}));  // an update of no bytes
  writer_.reset();
  complete_ = true;
  return absl::OkStatus();
}

void SpoolFile::EndStream(uint64_t stream) {
  MutexLock lock(&mutex_);
  if (stream == stream_) writer_.reset();
}

absl::StatusOr<std::unique_ptr<SpooledUpdate>> SpoolFile::Read() {
  MutexLock lock(&mutex_);
  if (void_ || !complete_) {
    return absl::NotFoundError(absl::StrCat("no complete upload of ", id_.assignment_id, ": ",
                                            held_.load(), " of ", id_.size, " bytes are there"));
  }
  FW_RETURN_IF_ERROR(Verify());
  FW_ASSIGN_OR_RETURN(SpoolReader reader, SpoolReader::Open(path_));
  return std::unique_ptr<SpooledUpdate>(
      std::make_unique<Update>(std::move(reader), id_.size, readers_));
}

std::optional<SpareFile> SpoolFile::Drop() {
  MutexLock lock(&mutex_);
  void_ = true;
  held_.store(0);
  writer_.reset();
  const bool read_by_nobody = readers_.use_count() == 1;
  if (begun_ && read_by_nobody && id_.size <= kMaxSpareFileBytes) {
    absl::StatusOr<FileWriter> file = FileWriter::Open(path_);
    constexpr std::array<uint8_t, kMagicBytes> kBlank{};
    if (file.ok() && file->WriteAt(0, kBlank).ok()) return SpareFile{path_, file->size()};
  }
  // A file that stays behind is found again at the next start.
  RemoveIfExists(path_).IgnoreError();
  return std::nullopt;
}

bool SpoolFile::is_void() const {
  MutexLock lock(&mutex_);
  return void_;
}

}  // namespace fedwatt
