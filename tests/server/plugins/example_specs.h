#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/model/job_spec.h"

namespace fedwatt {

// How each built-in plug-in may be configured, for the conformance suites. A plug-in that has no
// required parameters needs no entry.
inline PluginSpec ExampleSpec(const std::string& name) {
  static const std::map<std::string, std::map<std::string, double>> kParams = {
      {"fedprox", {{"mu", 0.1}}},
  };
  const auto found = kParams.find(name);
  return {name, found == kParams.end() ? std::map<std::string, double>() : found->second};
}

template <typename Factories>
std::vector<std::string> Names(const Factories& factories) {
  std::vector<std::string> names;
  for (const auto& entry : factories) names.push_back(entry.first);
  return names;
}

}  // namespace fedwatt
