#include "common/base/large_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

// Smaller arrays come from a heap that keeps its pages.
constexpr size_t kLeastBytes = size_t{4} << 20;
constexpr uintptr_t kPageBytes = 4096;

uintptr_t RoundUp(uintptr_t value, uintptr_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

void PreferHugePages(const void* data, size_t bytes) {
  if (bytes < kLeastBytes) return;
#ifdef MADV_HUGEPAGE
  const auto address = reinterpret_cast<uintptr_t>(data);
  const size_t skipped = RoundUp(address, kPageBytes) - address;
  auto* const begin = static_cast<uint8_t*>(const_cast<void*>(data)) + skipped;
  // A kernel without them says no, and nothing else happens.
  (void)madvise(begin, (bytes - skipped) / kPageBytes * kPageBytes, MADV_HUGEPAGE);
#else
  (void)data;
#endif
}

absl::StatusOr<LargeMemory> LargeMemory::Create(size_t bytes) {
  LargeMemory memory;
  if (bytes == 0) return memory;
  // Room for the alignment, which costs no memory.
  const size_t mapped = bytes + kReleaseBytes;
  void* const mapping = mapped < bytes ? MAP_FAILED
                                       : mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes"));
  }
  memory.mapping_ = static_cast<uint8_t*>(mapping);
  memory.mapped_ = mapped;
  memory.size_ = bytes;
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  memory.data_ = memory.mapping_ + (RoundUp(address, kReleaseBytes) - address);
  PreferHugePages(memory.data_, bytes);
  return memory;
}

LargeMemory::LargeMemory(LargeMemory&& other) noexcept { *this = std::move(other); }

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

LargeMemory::~LargeMemory() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

void LargeMemory::Release(size_t begin, size_t end) {
  begin = RoundUp(begin, kReleaseBytes);
  end = std::min(end, size_) / kReleaseBytes * kReleaseBytes;
  if (begin < end) (void)madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace fedwatt
