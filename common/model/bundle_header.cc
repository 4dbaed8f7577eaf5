#include "common/model/bundle_header.h"

namespace fedwatt {

const char* TaskName(Task task) {
  switch (task) {
    case Task::kClassification:
      return "classification";
    case Task::kSequence:
      return "sequence";
    case Task::kRegression:
      return "regression";
  }
  return "unknown";
}

std::string BundleSignedText(const std::string& header) {
  return std::string("fedwatt-bundle-v1\0", 18) + header;
}

}  // namespace fedwatt
