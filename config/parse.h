// Reads and validates conntally's YAML configuration. Pure but for LoadConfigFile, which reads one file.
// Any thread.
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

// Every fault is reported, in the order of the file, not only the first; past 1000 of them, that there are
// more. What is not YAML at all is one fault, where the reader lost the thread. A text of nothing but
// comments is the defaults. Throws nothing.
ConfigOrFaults ParseConfig(std::string_view yaml);

// As ParseConfig; a file that cannot be read is one fault at 1:1 that says why.
ConfigOrFaults LoadConfigFile(const std::string& path);

// Every key there is, dotted ("web.listen_address"), in the order of the documented file. The keys of a
// list's entries stand under the list ("limits.source").
const std::vector<std::string>& ConfigKeys();

namespace config {

// Line and column of each within `yaml`, where yaml-cpp may have placed them behind it.
void KeepWithin(std::string_view yaml, std::vector<ConfigFault>& faults);

// As ParseConfig, for any file of ours.
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
