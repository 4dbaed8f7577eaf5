#include "common/wire/message_checks.h"

#include <algorithm>
#include <cstring>

#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/model/field_checks.h"

namespace fedwatt::wire {
namespace {

// Length of the well-formed UTF-8 character at `i`, or 0.
size_t Utf8Length(const std::string& text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t first = byte(i);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || i + length > text.size()) return 0;
  for (size_t k = i + 1; k < i + length; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return 0;
  }
  const uint8_t second = byte(i + 1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second > 0x9f;
  const bool beyond = first == 0xf4 && second > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

absl::Status DigestFrom(const std::string& key, const std::string& bytes, Digest* out) {
  out->fill(0);
  if (bytes.empty()) return absl::OkStatus();
  if (bytes.size() != out->size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, " has ", bytes.size(), " bytes: a SHA-256 has ", out->size()));
  }
  std::memcpy(out->data(), bytes.data(), out->size());
  return absl::OkStatus();
}

void DigestTo(const Digest& digest, std::string* out) {
  const bool none = std::all_of(digest.begin(), digest.end(), [](uint8_t b) { return b == 0; });
  out->clear();
  if (!none) out->assign(reinterpret_cast<const char*>(digest.data()), digest.size());
}

absl::Status CheckNamedValues(const std::string& key, const std::map<std::string, double>& values,
                              double min) {
  FW_RETURN_IF_ERROR(CheckCount(absl::StrCat("number of entries in ", key), values.size(), 0,
                                bounds::kMaxMetrics));
  for (const auto& [name, value] : values) {
    FW_RETURN_IF_ERROR(CheckName(absl::StrCat("key in ", key), name, bounds::kMaxNameLength));
    FW_RETURN_IF_ERROR(CheckReal(absl::StrCat(key, ".", name), value, min, 1e300));
  }
  return absl::OkStatus();
}

std::string SafeText(const std::string& text, size_t max) {
  std::string safe;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i);
    const auto first = static_cast<uint8_t>(text[i]);
    const bool replace = length == 0 || first < 0x20 || first == 0x7f;
    const size_t bytes = replace ? 1 : length;
    if (safe.size() + bytes > max) break;
    if (replace) {
      safe.push_back('?');
    } else {
      safe.append(text, i, length);
    }
    i += bytes;
  }
  return safe;
}

}  // namespace fedwatt::wire
