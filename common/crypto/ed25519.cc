#include "common/crypto/ed25519.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/openssl_ptr.h"
#include "common/crypto/sha256.h"

namespace fedwatt {
namespace {

constexpr size_t kKeyBytes = 32;

EvpKeyPtr PublicEvp(const std::array<uint8_t, 32>& bytes) {
  return EvpKeyPtr(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()));
}

EvpKeyPtr PrivateEvp(const std::array<uint8_t, 32>& seed) {
  return EvpKeyPtr(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

absl::Status WrongLength(const char* what, size_t size) {
  return absl::InvalidArgumentError(
      absl::StrCat("an Ed25519 ", what, " has ", kKeyBytes, " bytes, not ", size));
}

absl::Status NotPem(const char* what) {
  return absl::InvalidArgumentError(
      absl::StrCat("not an Ed25519 ", what, " in PEM: ", OpenSslReason()));
}

}  // namespace

absl::StatusOr<PublicKey> PublicKey::FromBytes(ByteSpan bytes) {
  if (bytes.size() != kKeyBytes) return WrongLength("public key", bytes.size());
  std::array<uint8_t, 32> raw{};
  std::copy(bytes.begin(), bytes.end(), raw.begin());
  return PublicKey(raw);
}

absl::StatusOr<PublicKey> PublicKey::FromPem(const std::string& pem) {
  const BioPtr bio = ReadBio(pem);
  const EvpKeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  std::array<uint8_t, 32> raw{};
  size_t size = raw.size();
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size) != 1) {
    return NotPem("public key");
  }
  return PublicKey(raw);
}

absl::StatusOr<PublicKey> PublicKey::Load(const std::string& path) {
  FW_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, bounds::kMaxConfigBytes));
  absl::StatusOr<PublicKey> key = FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

std::string PublicKey::ToPem() const {
  const EvpKeyPtr key = PublicEvp(bytes_);
  const BioPtr bio = WriteBio();
  if (key == nullptr || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) std::abort();
  return BioText(bio.get());
}

absl::Status PublicKey::Save(const std::string& path) const {
  return WriteFileAtomic(path, ToPem());
}

std::string PublicKey::KeyId() const { return Sha256Hex(bytes_).substr(0, 16); }

absl::Status PublicKey::Verify(ByteSpan message, const Signature& signature) const {
  const EvpKeyPtr key = PublicEvp(bytes_);
  const EvpMdCtxPtr context(EVP_MD_CTX_new());
  if (key != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return absl::UnauthenticatedError(
      absl::StrCat("the signature is not by key ", KeyId(), " over this content"));
}

SigningKey::SigningKey(std::unique_ptr<Seed> seed, const PublicKey& public_key)
    : seed_(std::move(seed)), public_key_(public_key) {}

SigningKey& SigningKey::operator=(SigningKey&& other) noexcept {
  std::swap(seed_, other.seed_);
  std::swap(public_key_, other.public_key_);
  return *this;
}

SigningKey::~SigningKey() {
  if (seed_ != nullptr) OPENSSL_cleanse(seed_->data(), seed_->size());
}

absl::StatusOr<SigningKey> SigningKey::Generate() {
  auto seed = std::make_unique<Seed>();
  if (RAND_priv_bytes(seed->data(), static_cast<int>(seed->size())) != 1) {
    return absl::InternalError(
        absl::StrCat("the system's random source failed: ", OpenSslReason()));
  }
  absl::StatusOr<SigningKey> key = FromSeed(*seed);
  OPENSSL_cleanse(seed->data(), seed->size());
  return key;
}

absl::StatusOr<SigningKey> SigningKey::FromSeed(ByteSpan seed) {
  if (seed.size() != kKeyBytes) return WrongLength("secret key", seed.size());
  auto copy = std::make_unique<Seed>();
  std::copy(seed.begin(), seed.end(), copy->begin());
  const EvpKeyPtr key = PrivateEvp(*copy);
  std::array<uint8_t, 32> raw{};
  size_t size = raw.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size) != 1) {
    return absl::InternalError(absl::StrCat("cannot derive the public key: ", OpenSslReason()));
  }
  FW_ASSIGN_OR_RETURN(const PublicKey public_key, PublicKey::FromBytes(raw));
  return SigningKey(std::move(copy), public_key);
}

absl::StatusOr<SigningKey> SigningKey::FromPem(const std::string& pem) {
  const BioPtr bio = ReadBio(pem);
  const EvpKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  Seed seed{};
  size_t size = seed.size();
  if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_private_key(key.get(), seed.data(), &size) != 1) {
    return NotPem("secret key");
  }
  absl::StatusOr<SigningKey> result = FromSeed(seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  return result;
}

absl::StatusOr<SigningKey> SigningKey::Load(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FileError(errno, "open", path);
  if ((info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the secret key ", path, " is accessible to other users; run: chmod 600 ", path));
  }
  FW_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, bounds::kMaxConfigBytes));
  absl::StatusOr<SigningKey> key = FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

std::string SigningKey::ToPem() const {
  const EvpKeyPtr key = PrivateEvp(*seed_);
  const BioPtr bio = WriteBio();
  if (key == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0,
                                                      nullptr, nullptr) != 1) {
    std::abort();
  }
  return BioText(bio.get());
}

absl::Status SigningKey::Save(const std::string& path) const {
  return WriteFileAtomic(path, ToPem(), 0600);
}

Signature SigningKey::Sign(ByteSpan message) const {
  const EvpKeyPtr key = PrivateEvp(*seed_);
  const EvpMdCtxPtr context(EVP_MD_CTX_new());
  Signature signature{};
  size_t size = signature.size();
  if (key == nullptr || context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    std::abort();  // out of memory: half a signature must not leave this function
  }
  return signature;
}

}  // namespace fedwatt
