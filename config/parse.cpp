#include "config/parse.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

#include "config/document.h"
#include "config/reading.h"
#include "config/schema.h"

namespace conntally {
namespace {

// yaml-cpp places what it misses at the end of a file behind the last line. Nobody can go there.
void KeepWithin(std::string_view text, std::vector<ConfigFault>& faults) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  const std::size_t last_line_bytes = text.size() - (text.rfind('\n') + 1);
  for (ConfigFault& fault : faults) {
    if (fault.line <= lines) continue;
    fault.line = lines;
    fault.column = last_line_bytes + 1;
  }
}

std::vector<ConfigFault> CannotRead(int code) {
  return {{1, 1, "the file cannot be read: " + std::generic_category().message(code)}};
}

}  // namespace

std::string Describe(const ConfigFault& fault, std::string_view file) {
  return std::string(file) + ":" + std::to_string(fault.line) + ":" + std::to_string(fault.column) + ": " +
         fault.message;
}

ConfigOrFaults ParseConfig(std::string_view yaml) {
  std::vector<ConfigFault> faults;
  Config parsed;
  const auto document = config::ParseDocument(yaml);
  if (const auto* fault = std::get_if<ConfigFault>(&document)) {
    faults.push_back(*fault);
  } else {
    config::Reading reading(ConfigKeys());
    config::ConfigSchema().read(std::get<config::Node>(document), parsed, reading);
    faults = reading.TakeFaultsInOrder();
  }
  if (faults.empty()) return parsed;
  KeepWithin(yaml, faults);
  return faults;
}

ConfigOrFaults LoadConfigFile(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return CannotRead(errno);
  // One byte more than is allowed is enough for ParseConfig to refuse it, however long the file goes on.
  std::string text;
  std::array<char, 16'384> piece{};
  while (text.size() <= config::kDocumentBytesMax) {
    const std::size_t count = std::fread(piece.data(), 1, piece.size(), file.get());
    text.append(piece.data(), count);
    if (std::ferror(file.get()) != 0) return CannotRead(errno);
    if (count < piece.size()) break;
  }
  return ParseConfig(text);
}

const std::vector<std::string>& ConfigKeys() { return config::ConfigSchema().keys; }

}  // namespace conntally
