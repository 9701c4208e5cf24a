// Any text is either a configuration or faults at places that the text has.
//   fuzz_config -max_total_time=120 WORK_FOLDER corpus/config
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "config/parse.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckFaults(std::string_view text, const std::vector<conntally::ConfigFault>& faults) {
  Require(!faults.empty());
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const auto& fault : faults) {
    Require(fault.line >= 1 && fault.line <= lines);
    // One past the end is where something is missing.
    std::string_view line = text;
    for (std::size_t i = 1; i < fault.line; ++i) line.remove_prefix(line.find('\n') + 1);
    line = line.substr(0, line.find('\n'));
    Require(fault.column >= 1 && fault.column <= line.size() + 1);
    Require(!fault.message.empty() && fault.message.find('\n') == std::string::npos);
  }
  Require(std::is_sorted(faults.begin(), faults.end(), [](const auto& a, const auto& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // libFuzzer speaks in unsigned bytes.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = conntally::ParseConfig(text);
  if (const auto* faults = std::get_if<std::vector<conntally::ConfigFault>>(&parsed)) CheckFaults(text, *faults);
  return 0;
}
