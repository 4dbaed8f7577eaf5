#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "fedwatt/fedwatt.h"

// The structs of fedwatt.h as they come from programs of any version.
namespace fedwatt {

// The two numbers with which each begins.
struct StructHead {
  uint32_t abi_version;
  uint32_t struct_size;
};

// What the struct measured in version 1: less is no such struct. A later version that appends
// fields specialises this.
template <typename T>
constexpr size_t kFirstSize = sizeof(T);
template <>
inline constexpr size_t kFirstSize<fedwatt_plan> = offsetof(fedwatt_plan, client);
template <>
inline constexpr size_t kFirstSize<fedwatt_options> = offsetof(fedwatt_options, checkpoint_ms);

// A copy of `*given`. What an older program does not have is zero. INVALID_ARGUMENT names `what` if
// it is null, was not initialised, or sets fields that this version does not know.
template <typename T>
absl::StatusOr<T> TakeStruct(const T* given, const std::string& what) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (given == nullptr) return absl::InvalidArgumentError(absl::StrCat(what, " is NULL"));
  StructHead head;
  std::memcpy(&head, given, sizeof(head));
  if (head.abi_version == 0 || head.struct_size < kFirstSize<T>) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": version ", head.abi_version, " and size ", head.struct_size,
                     " are none of this struct; initialise it with FEDWATT_INIT"));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(T); i < head.struct_size; ++i) {
    if (bytes[i] == 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": a field at byte ", i, " is set that version ", FEDWATT_ABI_VERSION,
                     " of this library does not know; update the library or leave it 0"));
  }
  T copy{};
  std::memcpy(&copy, given, head.struct_size < sizeof(T) ? head.struct_size : sizeof(T));
  return copy;
}

// Writes what fits into a struct of the caller's.
template <typename T>
absl::Status GiveStruct(T value, T* to, const std::string& what) {
  absl::StatusOr<T> known = TakeStruct(to, what);
  if (!known.ok()) return known.status();
  value.abi_version = known->abi_version;
  value.struct_size = known->struct_size;
  std::memcpy(to, &value, known->struct_size < sizeof(T) ? known->struct_size : sizeof(T));
  return absl::OkStatus();
}

}  // namespace fedwatt
