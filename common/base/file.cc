#include "common/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/errno_text.h"
#include "common/base/memory_folder.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Said to be free in memory; whoever fills that is stopped by the system.
constexpr uint64_t kMemoryBytes = uint64_t{1} << 50;

// A test's fault, shared by all threads; the flag keeps the lock off the normal path.
struct FaultSeam {
  std::atomic<bool> armed{false};
  Mutex mutex;
  WriteFault fault ABSL_GUARDED_BY(mutex);
};

FaultSeam& Seam() {
  static FaultSeam seam;
  return seam;
}

int InjectedError(const std::string& path, uint64_t bytes) {
  FaultSeam& seam = Seam();
  if (!seam.armed.load()) return 0;
  MutexLock lock(&seam.mutex);
  return seam.fault ? seam.fault(path, bytes) : 0;
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int OpenFd(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

absl::Status WriteAll(int fd, const std::string& path, uint64_t offset, ByteSpan data) {
  if (const int injected = InjectedError(path, data.size()); injected != 0) {
    return FileError(injected, "write", path);
  }
  while (!data.empty()) {
    const ssize_t written = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(errno, "write", path);
    }
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(const std::string& path, std::string_view data, mode_t mode) {
  Fd fd(OpenFd(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  if (fd.get() < 0) return FileError(errno, "create", path);
  // A key's file must have its mode from the first byte on, whatever the umask or an old file.
  if (fchmod(fd.get(), mode) != 0) return FileError(errno, "set the mode of", path);
  FW_RETURN_IF_ERROR(WriteAll(fd.get(), path, 0, AsBytes(data)));
  if (fsync(fd.get()) != 0) return FileError(errno, "sync", path);
  if (close(fd.release()) != 0) return FileError(errno, "close", path);
  return absl::OkStatus();
}

// Distinct for every call, so that two threads replacing one file do not share a temporary.
std::string TemporaryName(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return absl::StrCat(path, ".tmp.", getpid(), ".", counter.fetch_add(1));
}

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_nsec};
}

absl::Status StatusOf(int error_number, const char* verb, const std::string& path) {
  return error_number == 0 ? absl::OkStatus() : FileError(error_number, verb, path);
}

absl::StatusOr<MemoryFile::Bytes> HoldInMemory(const MemoryTree& tree, const std::string& path) {
  std::shared_ptr<MemoryFile> file;
  FW_RETURN_IF_ERROR(StatusOf(tree.Open(path, &file), "open", path));
  return file->Hold();
}

absl::StatusOr<std::string> ReadInMemory(const MemoryTree& tree, const std::string& path,
                                         uint64_t max_bytes) {
  std::shared_ptr<MemoryFile> file;
  FW_RETURN_IF_ERROR(StatusOf(tree.Open(path, &file), "open", path));
  return file->Read(max_bytes);
}

absl::Status NoFolder(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat(path, " is not a folder; remove it or choose another path"));
}

absl::Status TooLarge(const std::string& path, uint64_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat(path, " holds more than the limit of ", max_bytes, " bytes"));
}

}  // namespace

absl::Status FileError(int error_number, const std::string& verb, const std::string& path) {
  const std::string message =
      absl::StrCat("cannot ", verb, " ", path, ": ", ErrnoText(error_number));
  switch (error_number) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; check the owner and mode of the path"));
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(absl::StrCat(
          message, "; free space on the file system of ", DirName(path), " and try again"));
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(
          absl::StrCat(message, "; raise the limit on open files (ulimit -n)"));
    default:
      return absl::InternalError(message);
  }
}

void SetWriteFaultForTest(WriteFault fault) {
  FaultSeam& seam = Seam();
  MutexLock lock(&seam.mutex);
  seam.armed.store(static_cast<bool>(fault));
  seam.fault = std::move(fault);
}

std::string DirName(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool FileExists(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) {
    FileInfo info;
    return tree->Inspect(path, &info) == 0;
  }
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  if (const auto tree = MemoryTree::Of(path)) {
    FW_ASSIGN_OR_RETURN(std::string content, ReadInMemory(*tree, path, max_bytes));
    if (content.size() > max_bytes) return TooLarge(path, max_bytes);
    return content;
  }
  const Fd fd(OpenFd(path, O_RDONLY));
  if (fd.get() < 0) return FileError(errno, "open", path);
  // Read to the end, not to the reported size: files in /sys and /proc report 0 or a page.
  std::string content;
  struct stat info {};
  if (fstat(fd.get(), &info) == 0 && info.st_size > 0) {
    content.reserve(std::min(static_cast<uint64_t>(info.st_size), max_bytes) + 1);
  }
  while (content.size() <= max_bytes) {
    constexpr size_t kPiece = 256 * 1024;
    const size_t start = content.size();
    const size_t wanted = static_cast<size_t>(
        std::min<uint64_t>(kPiece, max_bytes - start + (max_bytes == UINT64_MAX ? 0 : 1)));
    content.resize(start + wanted);
    const ssize_t got = read(fd.get(), content.data() + start, wanted);
    const int error_number = errno;
    content.resize(start + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return content;
    if (got < 0 && error_number != EINTR) return FileError(error_number, "read", path);
  }
  return TooLarge(path, max_bytes);
}

absl::Status WriteFileAtomic(const std::string& path, std::string_view data, mode_t mode) {
  if (MemoryTree::Of(path) != nullptr) {
    const std::string temporary = TemporaryName(path);
    FW_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(temporary, mode));
    if (const absl::Status written = file.Append(AsBytes(data)); !written.ok()) {
      RemoveIfExists(temporary).IgnoreError();
      return written;
    }
    return RenameFile(temporary, path);
  }
  const std::string temporary = TemporaryName(path);
  absl::Status status = WriteAndSync(temporary, data, mode);
  if (status.ok()) status = RenameFile(temporary, path);
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return FsyncDir(DirName(path));
}

absl::Status FsyncDir(const std::string& dir) {
  if (MemoryTree::Of(dir) != nullptr) return absl::OkStatus();
  const Fd fd(OpenFd(dir, O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0) return FileError(errno, "open", dir);
  if (fsync(fd.get()) != 0) return FileError(errno, "sync", dir);
  return absl::OkStatus();
}

absl::Status RemoveIfExists(const std::string& path) {
  const auto tree = MemoryTree::Of(path);
  const int error = tree != nullptr ? tree->Unlink(path) : unlink(path.c_str()) == 0 ? 0 : errno;
  return error == ENOENT ? absl::OkStatus() : StatusOf(error, "remove", path);
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  const auto tree = MemoryTree::Of(from);
  // Between memory and disk as between two file systems.
  const int error = tree != MemoryTree::Of(to)                   ? EXDEV
                    : tree != nullptr                            ? tree->Rename(from, to)
                    : std::rename(from.c_str(), to.c_str()) == 0 ? 0
                                                                 : errno;
  if (error == 0) return absl::OkStatus();
  return FileError(error, absl::StrCat("rename ", from, " to"), to);
}

absl::Status EnsureDir(const std::string& path, mode_t mode) {
  if (const auto tree = MemoryTree::Of(path)) {
    const int error = tree->MakeDirs(path);
    return error == EEXIST ? NoFolder(path) : StatusOf(error, "create the folder", path);
  }
  // Nearly always it is there already, or only its last part is missing.
  if (mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  for (size_t slash = errno == ENOENT ? path.find('/', 1) : std::string::npos;;
       slash = path.find('/', slash + 1)) {
    const std::string prefix = path.substr(0, slash);
    if (!prefix.empty() && mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST) {
      return FileError(errno, "create the folder", prefix);
    }
    if (slash == std::string::npos) break;
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileError(errno, "inspect", path);
  return S_ISDIR(info.st_mode) ? absl::OkStatus() : NoFolder(path);
}

absl::StatusOr<std::vector<std::string>> ListDir(const std::string& dir) {
  if (const auto tree = MemoryTree::Of(dir)) {
    std::vector<std::string> held;
    FW_RETURN_IF_ERROR(StatusOf(tree->List(dir, &held), "list", dir));
    return held;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(dir.c_str()), closedir);
  if (stream == nullptr) return FileError(errno, "list", dir);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return FileError(errno, "list", dir);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<FileInfo> InspectFile(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) {
    FileInfo found;
    FW_RETURN_IF_ERROR(StatusOf(tree->Inspect(path, &found), "inspect", path));
    return found;
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileError(errno, "inspect", path);
  return FileInfo{.is_dir = S_ISDIR(info.st_mode),
                  .is_file = S_ISREG(info.st_mode),
                  .bytes = static_cast<uint64_t>(info.st_size),
                  .device = info.st_dev,
                  .inode = info.st_ino,
                  .modified_ns = Nanoseconds(info.st_mtim),
                  .changed_ns = Nanoseconds(info.st_ctim)};
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const FileInfo info, InspectFile(path));
  return info.bytes;
}

absl::Status SetModified(const std::string& path, int64_t modified_ns) {
  if (const auto tree = MemoryTree::Of(path)) {
    std::shared_ptr<MemoryFile> file;
    FW_RETURN_IF_ERROR(StatusOf(tree->Open(path, &file), "date", path));
    file->SetModified(modified_ns);
    return absl::OkStatus();
  }
  timespec time{};
  time.tv_sec = modified_ns / 1'000'000'000;
  time.tv_nsec = modified_ns % 1'000'000'000;
  const timespec times[2] = {time, time};
  return StatusOf(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0 ? 0 : errno, "date", path);
}

absl::Status RemoveDir(const std::string& path) {
  const auto tree = MemoryTree::Of(path);
  const int error = tree != nullptr ? tree->RemoveDir(path) : rmdir(path.c_str()) == 0 ? 0 : errno;
  return StatusOf(error, "remove the folder", path);
}

void RemoveTree(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) return tree->RemoveTree(path);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  if (MemoryTree::Of(path) != nullptr) return kMemoryBytes;
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return FileError(errno, "inspect", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) {
    MappedFile held;
    FW_ASSIGN_OR_RETURN(held.memory_, HoldInMemory(*tree, path));
    held.data_ = reinterpret_cast<const uint8_t*>(held.memory_->data());
    held.size_ = held.memory_->size();
    return held;
  }
  const Fd fd(OpenFd(path, O_RDONLY));
  if (fd.get() < 0) return FileError(errno, "open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return FileError(errno, "inspect", path);
  MappedFile mapped;
  if (info.st_size == 0) return mapped;  // mmap refuses a length of 0
  const auto size = static_cast<size_t>(info.st_size);
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return FileError(errno, "map", path);
  mapped.data_ = static_cast<const uint8_t*>(data);
  mapped.size_ = size;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      memory_(std::move(other.memory_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(memory_, other.memory_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr && memory_ == nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

FileReader::FileReader(std::string path, int fd, uint64_t size)
    : path_(std::move(path)),
      fd_(fd),
      size_(size),
      buffer_(std::min<uint64_t>(size, kBlockBytes)) {}

FileReader::FileReader(std::string path, std::shared_ptr<const std::string> memory)
    : path_(std::move(path)), size_(memory->size()), memory_(std::move(memory)) {}

absl::StatusOr<FileReader> FileReader::Open(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) {
    FW_ASSIGN_OR_RETURN(MemoryFile::Bytes held, HoldInMemory(*tree, path));
    return FileReader(path, std::move(held));
  }
  const int fd = OpenFd(path, O_RDONLY);
  if (fd < 0) return FileError(errno, "open", path);
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    return FileError(error, "inspect", path);
  }
  return FileReader(path, fd, static_cast<uint64_t>(info.st_size));
}

FileReader::FileReader(FileReader&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      position_(other.position_),
      buffer_(std::move(other.buffer_)),
      memory_(std::move(other.memory_)) {}

FileReader::~FileReader() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<ByteSpan> FileReader::Next() {
  if (memory_ != nullptr) {
    const auto rest = AsBytes(*memory_).subspan(position_);
    const ByteSpan block = rest.first(std::min<size_t>(rest.size(), kBlockBytes));
    position_ += block.size();
    return block;
  }
  const size_t wanted = std::min<uint64_t>(buffer_.size(), size_ - position_);
  size_t held = 0;
  while (held < wanted) {
    const ssize_t got =
        pread(fd_, buffer_.data() + held, wanted - held, static_cast<off_t>(position_ + held));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(errno, "read", path_);
    if (got == 0) {
      return absl::InternalError(absl::StrCat(path_, " shrank to ", position_ + held, " of ", size_,
                                              " bytes while it was read"));
    }
    held += static_cast<size_t>(got);
  }
  position_ += held;
  return ByteSpan(buffer_.data(), held);
}

FileWriter::FileWriter(std::string path, int fd, uint64_t size)
    : path_(std::move(path)), fd_(fd), size_(size) {}

FileWriter::FileWriter(std::string path, std::shared_ptr<MemoryFile> memory, uint64_t size)
    : path_(std::move(path)), size_(size), memory_(std::move(memory)) {}

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path, mode_t mode) {
  if (const auto tree = MemoryTree::Of(path)) {
    std::shared_ptr<MemoryFile> file;
    FW_RETURN_IF_ERROR(StatusOf(tree->Create(path, &file), "create", path));
    return FileWriter(path, std::move(file), 0);
  }
  const int fd = OpenFd(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (fd < 0) return FileError(errno, "create", path);
  return FileWriter(path, fd, 0);
}

absl::StatusOr<FileWriter> FileWriter::Open(const std::string& path) {
  if (const auto tree = MemoryTree::Of(path)) {
    std::shared_ptr<MemoryFile> file;
    FW_RETURN_IF_ERROR(StatusOf(tree->Open(path, &file), "open", path));
    const uint64_t size = file->Info().bytes;
    return FileWriter(path, std::move(file), size);
  }
  Fd fd(OpenFd(path, O_WRONLY));
  if (fd.get() < 0) return FileError(errno, "open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return FileError(errno, "inspect", path);
  return FileWriter(path, fd.release(), static_cast<uint64_t>(info.st_size));
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)),
      memory_(std::move(other.memory_)) {}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(memory_, other.memory_);
  return *this;
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) close(fd_);
}

absl::Status FileWriter::Append(ByteSpan data) { return WriteAt(size_, data); }

absl::Status FileWriter::WriteAt(uint64_t offset, ByteSpan data) {
  if (memory_ != nullptr) {
    FW_RETURN_IF_ERROR(StatusOf(InjectedError(path_, data.size()), "write", path_));
    memory_->Write(offset, data);
  } else if (fd_ < 0) {
    return absl::FailedPreconditionError(absl::StrCat(path_, " is closed"));
  } else {
    FW_RETURN_IF_ERROR(WriteAll(fd_, path_, offset, data));
  }
  size_ = std::max(size_, offset + data.size());
  return absl::OkStatus();
}

void FileWriter::StartWriteback() {
  if (memory_ == nullptr) (void)sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

absl::Status FileWriter::Truncate(uint64_t size) {
  if (memory_ != nullptr) {
    memory_->Truncate(size);
  } else if (ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    return FileError(errno, "truncate", path_);
  }
  size_ = size;
  return absl::OkStatus();
}

absl::Status FileWriter::Sync() {
  if (memory_ == nullptr && fdatasync(fd_) != 0) return FileError(errno, "sync", path_);
  return absl::OkStatus();
}

absl::Status FileWriter::Close() {
  memory_.reset();
  if (fd_ < 0) return absl::OkStatus();
  if (close(std::exchange(fd_, -1)) != 0) return FileError(errno, "close", path_);
  return absl::OkStatus();
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  Fd fd(OpenFd(path, O_RDWR | O_CREAT, 0644));
  if (fd.get() < 0) return FileError(errno, "open the lock", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError(errno, "lock", path);
    const absl::StatusOr<std::string> holder = ReadFile(path, 64);
    const std::string pid(
        absl::StripTrailingAsciiWhitespace(holder.ok() ? absl::string_view(*holder) : ""));
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is locked by process ", pid.empty() ? std::string("unknown") : pid,
                     "; stop that process or choose another folder"));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd.get(), 0) != 0) return FileError(errno, "truncate", path);
  FW_RETURN_IF_ERROR(WriteAll(fd.get(), path, 0, AsBytes(pid)));
  return FileLock(fd.release());
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace fedwatt
