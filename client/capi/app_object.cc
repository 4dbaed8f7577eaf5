#include "client/capi/app_object.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

thread_local int app_calls = 0;

constexpr int32_t kLastCode = FEDWATT_UNAUTHENTICATED;

// The longest beginning of `text` in `limit` bytes that does not cut a UTF-8 character.
size_t CutLength(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  size_t length = limit;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return length;
}

}  // namespace

AppCall::AppCall() { ++app_calls; }

AppCall::~AppCall() { --app_calls; }

bool AppCall::IsUnderWay() { return app_calls > 0; }

absl::Status CallbackStatus(int32_t code, const fedwatt_error& error, const std::string& who) {
  if (code == FEDWATT_OK) return absl::OkStatus();
  const size_t length = strnlen(error.message, sizeof(error.message));
  std::string text(error.message, length);
  if (text.empty()) text = absl::StrCat("it returned ", code, " and did not say why");
  const bool known = code > 0 && code <= kLastCode;
  return absl::Status(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                      absl::StrCat(who, ": ", text));
}

int32_t GiveStatus(const absl::Status& status, fedwatt_error* error) {
  return fedwatt_fail(error, static_cast<int32_t>(status.code()),
                      std::string(status.message()).c_str());
}

}  // namespace fedwatt

extern "C" int32_t fedwatt_fail(fedwatt_error* error, int32_t code, const char* message) {
  if (error == nullptr || error->struct_size < sizeof(fedwatt_error)) return code;
  const std::string_view text = message == nullptr ? "" : message;
  const size_t length = fedwatt::CutLength(text, sizeof(error->message) - 1);
  error->code = code;
  std::memcpy(error->message, text.data(), length);
  error->message[length] = '\0';
  return code;
}
