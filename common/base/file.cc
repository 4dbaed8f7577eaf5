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
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/errno_text.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

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
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
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
  return absl::ResourceExhaustedError(
      absl::StrCat(path, " holds more than the limit of ", max_bytes, " bytes"));
}

absl::Status WriteFileAtomic(const std::string& path, std::string_view data, mode_t mode) {
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
  const Fd fd(OpenFd(dir, O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0) return FileError(errno, "open", dir);
  if (fsync(fd.get()) != 0) return FileError(errno, "sync", dir);
  return absl::OkStatus();
}

absl::Status RemoveIfExists(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return FileError(errno, "remove", path);
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return FileError(errno, absl::StrCat("rename ", from, " to"), to);
}

absl::Status EnsureDir(const std::string& path, mode_t mode) {
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
  if (!S_ISDIR(info.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, " is not a folder; remove it or choose another path"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDir(const std::string& dir) {
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

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileError(errno, "inspect", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return FileError(errno, "inspect", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
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
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

FileReader::FileReader(std::string path, int fd, uint64_t size)
    : path_(std::move(path)),
      fd_(fd),
      size_(size),
      buffer_(std::min<uint64_t>(size, kBlockBytes)) {}

absl::StatusOr<FileReader> FileReader::Open(const std::string& path) {
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
      buffer_(std::move(other.buffer_)) {}

FileReader::~FileReader() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<ByteSpan> FileReader::Next() {
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

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path, mode_t mode) {
  const int fd = OpenFd(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (fd < 0) return FileError(errno, "create", path);
  return FileWriter(path, fd, 0);
}

absl::StatusOr<FileWriter> FileWriter::Open(const std::string& path) {
  Fd fd(OpenFd(path, O_WRONLY));
  if (fd.get() < 0) return FileError(errno, "open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return FileError(errno, "inspect", path);
  return FileWriter(path, fd.release(), static_cast<uint64_t>(info.st_size));
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)) {}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) close(fd_);
}

absl::Status FileWriter::Append(ByteSpan data) { return WriteAt(size_, data); }

absl::Status FileWriter::WriteAt(uint64_t offset, ByteSpan data) {
  if (fd_ < 0) return absl::FailedPreconditionError(absl::StrCat(path_, " is closed"));
  FW_RETURN_IF_ERROR(WriteAll(fd_, path_, offset, data));
  size_ = std::max(size_, offset + data.size());
  return absl::OkStatus();
}

void FileWriter::StartWriteback() { (void)sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE); }

absl::Status FileWriter::Truncate(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0) return FileError(errno, "truncate", path_);
  size_ = size;
  return absl::OkStatus();
}

absl::Status FileWriter::Sync() {
  if (fdatasync(fd_) != 0) return FileError(errno, "sync", path_);
  return absl::OkStatus();
}

absl::Status FileWriter::Close() {
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
