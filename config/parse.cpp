#include "config/parse.h"

#include <algorithm>
#include <utility>

#include "collectors/system/threads/regular_file.h"
#include "config/document.h"
#include "config/reading.h"
#include "config/schema.h"

namespace conntally {

std::string Describe(const ConfigFault& fault, std::string_view file) {
  return std::string(file) + ":" + std::to_string(fault.line) + ":" + std::to_string(fault.column) + ": " +
         fault.message;
}

ConfigOrFaults ParseConfig(std::string_view yaml) { return config::ParseWith(config::ConfigSchema(), yaml); }

ConfigOrFaults LoadConfigFile(const std::string& path) {
  const auto text = ReadRegularFile(path, config::kDocumentBytesMax);
  if (!text) return std::vector<ConfigFault>{{1, 1, "the file cannot be read: " + text.error().message}};
  return ParseConfig(*text);
}

// yaml-cpp places missing tokens after the end of the text or line, where an editor cannot go.
void config::KeepWithin(std::string_view text, std::vector<ConfigFault>& faults) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::size_t> line_bytes;
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    line_bytes.push_back(end);
    text.remove_prefix(end + 1);
  }
  line_bytes.push_back(text.size());
  for (ConfigFault& fault : faults) {
    const bool is_past_the_end = fault.line > line_bytes.size();
    fault.line = std::min(fault.line, line_bytes.size());
    const std::size_t column_max = line_bytes[fault.line - 1] + 1;
    fault.column = is_past_the_end ? column_max : std::min(fault.column, column_max);
  }
}

const std::vector<std::string>& ConfigKeys() { return config::ConfigSchema().keys; }

}  // namespace conntally
