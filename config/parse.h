// Reads and validates conntally's YAML configuration. Pure, except for LoadConfigFile, which reads one file. Any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/document.h"
#include "config/fault.h"
#include "config/reading.h"

namespace conntally {

// "FILE:LINE:COLUMN: what is wrong, what is allowed"
std::string Describe(const ConfigFault& fault, std::string_view file);

using ConfigOrFaults = std::variant<Config, std::vector<ConfigFault>>;

// Reports all faults, in the order of the file; after 1000, only that there are more. Text that is not YAML is one
// fault, at the place where parsing failed. A text with only comments gives the defaults. Throws nothing.
ConfigOrFaults ParseConfig(std::string_view yaml);

// Like ParseConfig; a file that cannot be read is one fault at 1:1 that says why.
ConfigOrFaults LoadConfigFile(const std::string& path);

// All keys, dotted ("web.listen_address"), in the order of the documented file. The keys of a list's entries are under
// the list ("limits.source").
const std::vector<std::string>& ConfigKeys();

namespace config {

// Moves faults that yaml-cpp placed after the end of `yaml` into it.
void KeepWithin(std::string_view yaml, std::vector<ConfigFault>& faults);

// Like ParseConfig, for any schema.
template <typename T>
std::variant<T, std::vector<ConfigFault>> ParseWith(const Schema<T>& schema, std::string_view yaml) {
  std::vector<ConfigFault> faults;
  T parsed{};
  const auto document = ParseDocument(yaml);
  if (const auto* fault = std::get_if<ConfigFault>(&document)) {
    faults.push_back(*fault);
  } else {
    Reading reading(schema.keys);
    schema.read(std::get<Node>(document), parsed, reading);
    faults = reading.TakeFaultsInOrder();
  }
  if (faults.empty()) return parsed;
  KeepWithin(yaml, faults);
  return faults;
}

}  // namespace config
}  // namespace conntally
