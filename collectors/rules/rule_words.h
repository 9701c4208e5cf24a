// The words for rules: backend, family and verdict. Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace conntally {

enum class RuleBackend : std::uint8_t { kNftables, kIptablesLegacy, kIp6tablesLegacy };
inline constexpr std::size_t kRuleBackends = 3;
const char* NameOf(RuleBackend backend);  // "nftables", "iptables-legacy", "ip6tables-legacy"

// As nft writes them. Legacy tables are kIp or kIp6.
enum class RuleFamily : std::uint8_t { kIp, kIp6, kInet, kArp, kBridge, kNetdev };
const char* NameOf(RuleFamily family);

// What happens to a packet that the rule matches.
enum class Verdict : std::uint8_t {
  kContinue,  // nothing: the rule only counts, marks, fills a set ...
  kAccept,
  kDrop,
  kReject,
  kReturn,
  kJump,
  kGoto,
  kLog,  // LOG, NFLOG, `log`; the packet continues
  kQueue,
  kNat,    // dnat, snat, masquerade, redirect
  kMap,    // a verdict map with more than one kind of verdict: see Rule::map
  kOther,  // a target of which conntally knows only the name
};
const char* NameOf(Verdict verdict);

struct RuleCounter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const RuleCounter&, const RuleCounter&) = default;
};

}  // namespace conntally
