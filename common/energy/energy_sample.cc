#include "common/energy/energy_sample.h"

namespace fedwatt {

const char* EnergyQualityName(EnergyQuality quality) {
  switch (quality) {
    case EnergyQuality::kMeasured:
      return "measured";
    case EnergyQuality::kDerived:
      return "derived";
    case EnergyQuality::kEstimated:
      return "estimated";
    case EnergyQuality::kSimulated:
      return "simulated";
    case EnergyQuality::kUnavailable:
      return "unavailable";
  }
  return "unknown";
}

const char* EnergyScopeName(EnergyScope scope) {
  switch (scope) {
    case EnergyScope::kProcess:
      return "process";
    case EnergyScope::kPackage:
      return "package";
    case EnergyScope::kBoard:
      return "board";
    case EnergyScope::kDevice:
      return "device";
  }
  return "unknown";
}

const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kDownload:
      return "download";
    case Phase::kTrain:
      return "train";
    case Phase::kEncode:
      return "encode";
    case Phase::kUpload:
      return "upload";
    case Phase::kEvaluate:
      return "evaluate";
  }
  return "unknown";
}

}  // namespace fedwatt
