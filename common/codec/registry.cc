#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"
#include "common/codec/codec.h"

namespace fedwatt {

#define CODEC(name, maker) absl::StatusOr<std::unique_ptr<Codec>> maker(const CodecSpec& spec);
#include "common/codec/builtin.def"
#undef CODEC

const std::vector<CodecEntry>& BuiltinCodecs() {
  static const auto* const entries = new std::vector<CodecEntry>{
#define CODEC(name, maker) {name, maker},
#include "common/codec/builtin.def"
#undef CODEC
  };
  return *entries;
}

absl::StatusOr<std::unique_ptr<Codec>> MakeCodec(const std::string& text) {
  FW_ASSIGN_OR_RETURN(const CodecSpec spec, CodecSpec::Parse(text));
  std::vector<std::string> known;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    if (entry.name == spec.name) return entry.make(spec);
    known.push_back(entry.name);
  }
  return absl::NotFoundError(
      absl::StrCat("unknown codec \"", spec.name, "\"", DidYouMean(spec.name, known)));
}

}  // namespace fedwatt
