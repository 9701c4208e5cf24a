// Which port ranges source NAT rules, or else the kernel, give to connections: derived from translated connections. A
// rule fits a connection if none of its conditions is known to fail, and it can give the connection's address and port.
// If several rules fit (the table lacks the outgoing link, marks and the like), the one that explains most connections
// towards one destination is assumed.
//
// Pure: depends on one reading of the rules, which must outlive it. One thread at a time.
//
// Sources: net/netfilter/nf_nat_core.c (get_unique_tuple, nf_nat_l4proto_unique_tuple).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "collectors/addresses/ranges.h"
#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/match/condition_match.h"
#include "collectors/rules/walk/match/packet.h"

namespace conntally {

// The ports that the kernel chooses from if no rule gives a range: for a source port from 1024 up, 1024 to 65535; for
// lower ones, 512 to 1023 or 1 to 511; for ICMP, all ids.
NumberRange KernelPorts(std::uint8_t protocol, std::uint16_t original_port);
inline constexpr std::uint32_t kKernelPortsMost = 65'536;

class SourceNatRules {
 public:
  struct Given {
    Packet packet;  // as postrouting rules see it: with its translated destination
    std::uint16_t original_port = 0;
    IpAddress address;  // that it was given
    std::uint16_t port = 0;
  };

  // Ignores null readings. `ipsets` may be null.
  SourceNatRules(const std::vector<const BackendReading*>& readings, const std::vector<AddressSet>* ipsets);

  explicit SourceNatRules(const FirewallReading& reading);

  // The size of the narrowest range in the rules; kKernelPortsMost if they have none.
  std::uint32_t ports_least() const { return ports_least_; }

  // The ranges from which connections of one address towards one destination get ports, each once.
  std::vector<NumberRange> PortsOf(std::span<const Given> connections) const;

 private:
  // One possible translation: a rule, or one element of its map.
  struct Offer {
    const Rule* rule = nullptr;
    const ConditionMatcher* matcher = nullptr;
    std::vector<const ChainGraph::Entrance*> entrances;  // jumps on the only path into its chain; else empty
    const Ruleset* ruleset = nullptr;
    const RuleChain* chain = nullptr;  // the rule's
    const NatTarget::Choice* choice = nullptr;
    std::optional<AddressRange> addresses;
    std::optional<NumberRange> ports;
    bool always = true;  // all its conditions are known
  };
  // How well an offer explains a connection; 0: not at all.
  using Score = unsigned;

  void Add(const BackendReading& reading, const std::vector<AddressSet>* ipsets);
  void Add(Offer offer, const std::optional<AddressRange>& addresses, const std::optional<NumberRange>& ports);
  static Match Matches(const Offer& offer, const Packet& packet);
  static Score Explains(const Offer& offer, const Given& given);

  std::vector<Offer> offers_;  // chain by chain, in a chain in the kernel's order
  std::vector<std::unique_ptr<ConditionMatcher>> matchers_;
  std::vector<std::unique_ptr<ChainGraph>> graphs_;
  std::uint32_t ports_least_ = kKernelPortsMost;
};

}  // namespace conntally
