// Reads faults as the lines that a person sees: "LINE:COLUMN: message". For tests of the configuration.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/parse.h"

namespace conntally {

// Empty when the text is accepted.
inline std::vector<std::string> FaultsOf(std::string_view yaml) {
  const auto parsed = ParseConfig(yaml);
  std::vector<std::string> lines;
  if (const auto* faults = std::get_if<std::vector<ConfigFault>>(&parsed)) {
    for (const ConfigFault& fault : *faults) lines.push_back(Describe(fault, "").substr(1));
  }
  return lines;
}

// The only fault, or a text that says how many there are.
inline std::string FaultOf(std::string_view yaml) {
  const auto faults = FaultsOf(yaml);
  return faults.size() == 1 ? faults.front() : std::to_string(faults.size()) + " faults";
}

}  // namespace conntally
