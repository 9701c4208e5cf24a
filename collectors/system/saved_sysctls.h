// The sysctls set at boot: the directories of sysctl.d(5), and /etc/sysctl.conf. Reads files below a root; any thread.
#pragma once

#include <string>
#include <vector>

#include "collectors/system/result.h"

namespace conntally {

struct SavedSysctl {
  std::string path;  // under /proc/sys, with '/': "net/ipv4/conf/eth0.7/rp_filter"; may be a glob
  std::string value;
  std::string file;
  unsigned line = 0;
};

// In the order of application: the last one for a path counts. A file in /etc hides files of the same name in /run and
// /usr/lib. An error if a file cannot be read: then what a boot sets is unknown.
Result<std::vector<SavedSysctl>> ReadSavedSysctls(const std::string& root);

// The key of a line as a path: "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are the same; in a key whose first
// separator is a dot, slashes stand for dots (sysctl.d(5)). Pure.
std::string SysctlPath(std::string key);

// The setting that counts for the path; nullptr: none. Pure.
const SavedSysctl* LastSaved(const std::vector<SavedSysctl>& saved, const std::string& path);

// Whether the path matches the pattern, whose components may contain '*' and '?'. Pure.
bool MatchesSysctl(const std::string& pattern, const std::string& path);

}  // namespace conntally
