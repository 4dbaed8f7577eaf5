#pragma once

// Ed25519 signatures (RFC 8032), by OpenSSL. Job owners sign model bundles with them; clients pin
// the public keys.
//
//   FW_ASSIGN_OR_RETURN(const SigningKey key, SigningKey::Load("owner.key"));
//   const Signature signature = key.Sign(AsBytes(text));
//   FW_RETURN_IF_ERROR(key.public_key().Verify(AsBytes(text), signature));

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/bytes.h"

namespace fedwatt {

using Signature = std::array<uint8_t, 64>;

// A value. Thread-safe after construction.
class PublicKey {
 public:
  // INVALID_ARGUMENT unless 32 bytes.
  static absl::StatusOr<PublicKey> FromBytes(ByteSpan bytes);

  // SubjectPublicKeyInfo in PEM ("-----BEGIN PUBLIC KEY-----").
  static absl::StatusOr<PublicKey> FromPem(const std::string& pem);
  static absl::StatusOr<PublicKey> Load(const std::string& path);

  std::string ToPem() const;
  absl::Status Save(const std::string& path) const;

  const std::array<uint8_t, 32>& bytes() const { return bytes_; }

  // The first 16 hexadecimal digits of SHA-256(bytes): a name for logs and pin lists.
  std::string KeyId() const;

  // UNAUTHENTICATED if `signature` is not by this key over exactly `message`.
  absl::Status Verify(ByteSpan message, const Signature& signature) const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;

 private:
  explicit PublicKey(const std::array<uint8_t, 32>& bytes) : bytes_(bytes) {}

  std::array<uint8_t, 32> bytes_;
};

// Thread-safe after construction. Movable. The seed is wiped on destruction.
class SigningKey {
 public:
  // From the system's random source.
  static absl::StatusOr<SigningKey> Generate();

  // INVALID_ARGUMENT unless 32 bytes (the RFC 8032 secret key).
  static absl::StatusOr<SigningKey> FromSeed(ByteSpan seed);

  // PKCS#8 in PEM ("-----BEGIN PRIVATE KEY-----").
  static absl::StatusOr<SigningKey> FromPem(const std::string& pem);

  // Refuses (PERMISSION_DENIED, with the command that repairs it) a file that others may read.
  static absl::StatusOr<SigningKey> Load(const std::string& path);

  SigningKey(SigningKey&&) noexcept = default;
  SigningKey& operator=(SigningKey&& other) noexcept;
  ~SigningKey();

  std::string ToPem() const;

  // Writes with mode 0600, atomically.
  absl::Status Save(const std::string& path) const;

  const PublicKey& public_key() const { return public_key_; }

  // Deterministic: the same key and message give the same signature.
  Signature Sign(ByteSpan message) const;

 private:
  using Seed = std::array<uint8_t, 32>;
  SigningKey(std::unique_ptr<Seed> seed, const PublicKey& public_key);

  std::unique_ptr<Seed> seed_;
  PublicKey public_key_;
};

}  // namespace fedwatt
