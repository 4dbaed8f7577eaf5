#pragma once

// HMAC-SHA256 (RFC 2104), by OpenSSL.

#include "common/base/bytes.h"
#include "common/crypto/sha256.h"

namespace fedwatt {

Digest HmacSha256(ByteSpan key, ByteSpan message);

// Compares in time that does not depend on where they differ.
bool ConstantTimeEqual(const Digest& a, const Digest& b);

}  // namespace fedwatt
