#include "common/model/bundle_header.h"

namespace fedwatt {

const char* TaskName(ModelTask task) {
  switch (task) {
    case ModelTask::kClassification:
      return "classification";
    case ModelTask::kSequence:
      return "sequence";
    case ModelTask::kRegression:
      return "regression";
  }
  return "unknown";
}

std::string BundleSignedText(const std::string& header) {
  return std::string("fedwatt-bundle-v1\0", 18) + header;
}

}  // namespace fedwatt
