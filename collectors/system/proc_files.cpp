#include "collectors/system/proc_files.h"

#include <charconv>
#include <fstream>
#include <sstream>

#include "collectors/system/folder.h"

namespace conntally {
namespace {

// Pairs of lines: "Ip: InReceives InHdrErrors ...", then "Ip: 4711 0 ...".
bool ReadPairs(const std::string& path, std::map<std::string, std::uint64_t>& counters) {
  std::ifstream file(path);
  std::string names;
  std::string values;
  bool any = false;
  while (std::getline(file, names) && std::getline(file, values)) {
    std::istringstream name_words(names);
    std::istringstream value_words(values);
    std::string group;
    std::string name;
    std::int64_t value = 0;
    name_words >> group;
    value_words >> name;
    if (group != name || group.empty()) continue;
    group.back() = '.';  // replaces the colon
    while (name_words >> name && value_words >> value) counters[group + name] = static_cast<std::uint64_t>(value);
    any = true;
  }
  return any;
}

void ReadSingles(const std::string& path, std::map<std::string, std::uint64_t>& counters) {
  std::ifstream file(path);
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) counters[name] = value;
}

}  // namespace

std::optional<std::string> ReadSysctl(const std::string& proc, const std::string& path) {
  std::ifstream file(proc + "/sys/" + path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<std::uint64_t> ReadSysctlNumber(const std::string& proc, const std::string& path) {
  const std::string text = ReadSysctl(proc, path).value_or("");
  std::uint64_t value = 0;
  const bool read = std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
  return read ? std::optional(value) : std::nullopt;
}

void ReadSysctls(const std::string& proc, const std::string& folder, const std::string& prefix,
                 std::map<std::string, std::string>& values) {
  const auto names = NamesIn(proc + "/sys/" + folder);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    const std::string path = folder + "/" + name;
    if (auto value = ReadSysctl(proc, path)) values[path] = *std::move(value);
  }
}

Result<std::map<std::string, std::uint64_t>> ReadNetworkCounters(const std::string& proc) {
  std::map<std::string, std::uint64_t> counters;
  // Of the thread, since /proc/net is of the process's first one, and namespaces are threads' own.
  const std::string folder = proc + "/thread-self/net/";
  if (!ReadPairs(folder + "snmp", counters)) return Error{"cannot read " + folder + "snmp"};
  ReadPairs(folder + "netstat", counters);
  ReadSingles(folder + "snmp6", counters);
  ReadSingles(folder + "xfrm_stat", counters);
  return counters;
}

std::optional<std::chrono::seconds> ReadUptime(const std::string& proc) {
  std::ifstream file(proc + "/uptime");
  double seconds = 0;
  if (!(file >> seconds)) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

}  // namespace conntally
