#pragma once

// The codecs that the conformance and golden tests walk: every registered one by its name alone,
// and those of kVariants whose codec is registered.

#include <ostream>
#include <string>
#include <vector>

#include "common/codec/codec.h"

namespace fedwatt {

inline std::vector<std::string> CodecVariants() {
  static constexpr const char* kVariants[] = {
      "eden:bits=0.5",
      "eden:bits=1",
      "eden:bits=3.3",
      "eden:bits=8",
      "eden:bits=1,mode=lloyd_max",
      "eden:bits=3,mode=lloyd_max",
      "eden:bits=4,mode=lloyd_max",
      "eden:bits=8,mode=lloyd_max",
      "qsgd:bucket=100,levels=1",
      "qsgd:bucket=65536,levels=1023",
      "topk:fraction=0.001",
      "topk:fraction=0.3",
      "topk:fraction=1",
      "stc:fraction=0.001",
      "stc:fraction=0.3",
      "stc:fraction=1",
      "powersgd:rank=1",
      "powersgd:rank=7",
      "powersgd:rank=32",
  };
  std::vector<std::string> texts;
  for (const CodecEntry& entry : BuiltinCodecs()) {
    texts.push_back(entry.name);
    for (const std::string variant : kVariants) {
      if (variant.rfind(entry.name + ":", 0) == 0) texts.push_back(variant);
    }
  }
  return texts;
}

}  // namespace fedwatt
