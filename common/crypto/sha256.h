#pragma once

// SHA-256 (FIPS 180-4), by OpenSSL.

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/bytes.h"

namespace fedwatt {

using Digest = std::array<uint8_t, 32>;

// Hashes a stream: Update any number of times, then Finish once; Reset starts over. Movable, and
// copyable: a copy goes on from the same prefix. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256& other);
  Sha256& operator=(const Sha256& other);
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;

  void Update(ByteSpan bytes);

  // The digest of everything since construction or Reset. Call Reset before using it again.
  Digest Finish();

  void Reset();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Digest Sha256Of(ByteSpan bytes);

// 64 lower-case hexadecimal digits.
std::string Sha256Hex(ByteSpan bytes);

std::string DigestHex(const Digest& digest);

// INVALID_ARGUMENT unless `hex` is 64 hexadecimal digits.
absl::StatusOr<Digest> ParseDigest(const std::string& hex);

}  // namespace fedwatt
