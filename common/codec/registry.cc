#include "absl/strings/str_cat.h"
#include "common/base/suggest.h"
#include "common/codec/codec.h"

namespace fedwatt {

#define CODEC(name, maker) std::unique_ptr<Codec> maker();
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

absl::StatusOr<std::unique_ptr<Codec>> MakeCodec(const std::string& name) {
  std::vector<std::string> known;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    if (entry.name == name) return entry.make();
    known.push_back(entry.name);
  }
  return absl::NotFoundError(absl::StrCat("unknown codec \"", name, "\"", DidYouMean(name, known)));
}

}  // namespace fedwatt
