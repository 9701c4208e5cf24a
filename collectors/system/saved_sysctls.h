// What is set at boot: sysctl.d(5)'s folders and /etc/sysctl.conf. Reads files below a root; any thread.
#pragma once

#include <string>
#include <vector>

#include "collectors/system/result.h"

namespace conntally {

struct SavedSysctl {
  std::string path;  // under /proc/sys, with '/': "net/ipv4/conf/eth0.7/rp_filter"; may hold a glob, as sysctl.d allows
  std::string value;
  std::string file;
  unsigned line = 0;
};

// In the order in which they are applied: the last one of a path counts. A file in /etc hides those of its name in /run
// and /usr/lib. An error where one of them may not be read: the others alone do not say what a boot sets.
Result<std::vector<SavedSysctl>> ReadSavedSysctls(const std::string& root);

// The key of a line as a path: "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are the same; in a key whose first
// separator is a dot, slashes stand for dots (sysctl.d(5)). Pure.
std::string SysctlPath(std::string key);

// The one that counts for the path; nullptr: none speaks of it. Pure.
const SavedSysctl* LastSaved(const std::vector<SavedSysctl>& saved, const std::string& path);

// Whether the path is the pattern's, whose components may hold '*' and '?'. Pure.
bool MatchesSysctl(const std::string& pattern, const std::string& path);

}  // namespace conntally
