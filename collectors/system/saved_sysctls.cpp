#include "collectors/system/saved_sysctls.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>

#include "collectors/system/folder.h"

namespace conntally {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLinesMax = 100'000;

std::string_view Trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

Status ReadFile(const std::string& path, std::vector<SavedSysctl>& saved) {
  std::ifstream file(path);
  std::error_code error;
  // A dangling link is not a file; Debian has one.
  if (!file && fs::exists(path, error)) return Error{"cannot read " + path};
  std::string line;
  for (unsigned number = 1; std::getline(file, line) && saved.size() < kLinesMax; ++number) {
    std::string_view text = Trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.front() == '-') text = Trimmed(text.substr(1));  // "-": ignore errors
    const auto equals = text.find('=');
    if (equals == text.npos) continue;
    saved.push_back({SysctlPath(std::string(Trimmed(text.substr(0, equals)))),
                     std::string(Trimmed(text.substr(equals + 1))), path, number});
  }
  return Ok();
}

}  // namespace

std::string SysctlPath(std::string key) {
  const auto first = key.find_first_of("./");
  if (first == key.npos || key[first] == '/') return key;
  for (char& letter : key) letter = letter == '.' ? '/' : letter == '/' ? '.' : letter;
  return key;
}

bool MatchesSysctl(const std::string& pattern, const std::string& path) {
  return fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0;
}

const SavedSysctl* LastSaved(const std::vector<SavedSysctl>& saved, const std::string& path) {
  const auto found = std::find_if(saved.rbegin(), saved.rend(),
                                  [&](const SavedSysctl& each) { return MatchesSysctl(each.path, path); });
  return found == saved.rend() ? nullptr : &*found;
}

Result<std::vector<SavedSysctl>> ReadSavedSysctls(const std::string& root) {
  std::map<std::string, std::string> files;  // by name, the order across directories
  for (const char* folder :
       {"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}) {
    const auto names = NamesIn(root + folder);
    if (!names && names.error().code == ENOENT) continue;
    if (!names) return names.error();
    for (const std::string& name : *names) {
      if (name.ends_with(".conf")) files.emplace(name, root + folder + "/" + name);
    }
  }
  std::vector<SavedSysctl> saved;
  for (const auto& [name, path] : files) {
    if (const auto read = ReadFile(path, saved); !read) return read.error();
  }
  // systemd reads it as 99-sysctl.conf, procps reads it last.
  if (files.contains("99-sysctl.conf")) return saved;
  if (const auto read = ReadFile(root + "/etc/sysctl.conf", saved); !read) return read.error();
  return saved;
}

}  // namespace conntally
