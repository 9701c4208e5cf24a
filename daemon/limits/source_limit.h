// A limit upon one source's connections, from wherever it comes, and how much of it is used. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace conntally {

enum class LimitOrigin : std::uint8_t { kConfig, kConnlimit, kNft, kSysctl };

constexpr const char* NameOf(LimitOrigin origin) {
  switch (origin) {
    case LimitOrigin::kConfig: return "config";
    case LimitOrigin::kConnlimit: return "connlimit";
    case LimitOrigin::kNft: return "nft";
    case LimitOrigin::kSysctl: return "sysctl";
  }
  return "";
}

struct SourceLimit {
  LimitOrigin origin = LimitOrigin::kConfig;
  std::uint64_t connections = 0;  // how many are allowed; never 0
  std::uint64_t counted =
      0;                     // how many of the source's (or of its group's, where the limit counts by prefix) it covers
  bool approximate = false;  // `counted` may be more than those it covers
  bool in_doubt = false;     // and may be far more: conditions of the rule are not decided
  std::string rule = {};     // its text; empty: no rule's

  double usage() const { return static_cast<double>(counted) / static_cast<double>(connections); }
};

}  // namespace conntally
