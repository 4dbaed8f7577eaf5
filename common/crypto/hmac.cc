#include "common/crypto/hmac.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <cstdlib>

namespace fedwatt {

Digest HmacSha256(ByteSpan key, ByteSpan message) {
  Digest digest{};
  // A null key would mean "reuse the last one" to OpenSSL.
  static constexpr uint8_t kEmpty = 0;
  const uint8_t* const key_data = key.empty() ? &kEmpty : key.data();
  if (HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), message.data(), message.size(),
           digest.data(), nullptr) == nullptr) {
    std::abort();  // out of memory: a wrong authentication code must not leave this function
  }
  return digest;
}

bool ConstantTimeEqual(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace fedwatt
