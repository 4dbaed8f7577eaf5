#include "common/crypto/sha256.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/hex.h"
#include "common/base/status_macros.h"
#include "common/crypto/openssl_ptr.h"

namespace fedwatt {
namespace {

// EVP digests fail only when memory is exhausted or the library is broken; going on with a wrong
// digest would be worse than stopping.
void Require(bool ok) {
  if (!ok) std::abort();
}

// Fetched once: what EVP_sha256() makes every start of a hash look up costs as much as hashing a
// kilobyte.
const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Require(algorithm != nullptr);
  return algorithm;
}

}  // namespace

struct Sha256::Context {
  EvpMdCtxPtr md{EVP_MD_CTX_new()};

  Context() { Require(md != nullptr); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { Reset(); }

Sha256::~Sha256() = default;

Sha256::Sha256(const Sha256& other) : context_(std::make_unique<Context>()) {
  Require(EVP_MD_CTX_copy_ex(context_->md.get(), other.context_->md.get()) == 1);
}

Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) {
    Require(EVP_MD_CTX_copy_ex(context_->md.get(), other.context_->md.get()) == 1);
  }
  return *this;
}

Sha256::Sha256(Sha256&& other) noexcept : context_(std::move(other.context_)) {}

Sha256& Sha256::operator=(Sha256&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void Sha256::Update(ByteSpan bytes) {
  Require(EVP_DigestUpdate(context_->md.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::Finish() {
  Digest digest{};
  Require(EVP_DigestFinal_ex(context_->md.get(), digest.data(), nullptr) == 1);
  return digest;
}

void Sha256::Reset() { Require(EVP_DigestInit_ex(context_->md.get(), Algorithm(), nullptr) == 1); }

Digest Sha256Of(ByteSpan bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

std::string Sha256Hex(ByteSpan bytes) { return DigestHex(Sha256Of(bytes)); }

std::string DigestHex(const Digest& digest) { return HexEncode(digest); }

absl::StatusOr<Digest> ParseDigest(const std::string& hex) {
  FW_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, HexDecode(hex));
  Digest digest{};
  if (bytes.size() != digest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a SHA-256 digest has 64 hexadecimal digits, not ", hex.size()));
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

}  // namespace fedwatt
