// A limit on one source's connections, of any origin, and how much of it is used. Plain values; any thread.
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
      0;  // the connections of the source (or of its prefix, if the limit counts per prefix) that it covers
  bool approximate = false;  // `counted` may be too high
  bool in_doubt = false;     // `counted` may be far too high: some of the rule's conditions are unknown
  std::string rule = {};     // its text; empty: the limit is not from a rule

  double usage() const { return static_cast<double>(counted) / static_cast<double>(connections); }
};

}  // namespace conntally
