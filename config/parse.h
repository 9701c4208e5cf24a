// Reads and validates conntally's YAML configuration. Pure but for LoadConfigFile, which reads one file.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace conntally {

// One thing that is wrong, at a place a person can go to. Lines and columns start at 1.
struct ConfigFault {
  std::size_t line = 1;
  std::size_t column = 1;
  std::string message;  // what is wrong, and what is allowed
};

// "FILE:LINE:COLUMN: what is wrong, what is allowed"
std::string Describe(const ConfigFault& fault, std::string_view file);

using ConfigOrFaults = std::variant<Config, std::vector<ConfigFault>>;

// Every fault is reported, in the order of the file, not only the first.
ConfigOrFaults ParseConfig(std::string_view yaml);

// As ParseConfig; a file that cannot be read is one fault at 1:1 that says why.
ConfigOrFaults LoadConfigFile(const std::string& path);

}  // namespace conntally
