#include "bench/codecs.h"

#include "bench/codec_quality.h"
#include "bench/codec_speed.h"
#include "common/base/status_macros.h"

namespace fedwatt::bench {

absl::Status RunCodecs(const Interrupt& interrupt, Table* table) {
  FW_RETURN_IF_ERROR(MeasureCodecSpeed(interrupt, table));
  FW_RETURN_IF_ERROR(MeasureCodecQuality(interrupt, table));
  table->Note(
      "Codecs: seconds are this process's CPU time; each loop takes turns with what it stands "
      "beside. Medians.");
  return absl::OkStatus();
}

}  // namespace fedwatt::bench
