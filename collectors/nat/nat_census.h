// Computes the figures of address translation from the entries of one dump: add them all, then finish. The figures are
// exact for the added entries; an entry that a dump contains twice counts once.
//
// If a connection's destination is translated too, its port counts towards the translated destination, since the kernel
// distinguishes connections by their reply tuple. So connections that this host opens from such an address without
// translation take ports too.
//
// Bounds: kConnectionsMax entries (22 bytes each, IPv6: 58), kUsesMax uses, kTranslationsMax translations of
// destinations.
//
// Pure; one owner.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/conntrack/flows/flow_attribution.h"
#include "collectors/nat/nat_figures.h"
#include "collectors/nat/source_nat_rules.h"

namespace conntally {

class NatCensus {
 public:
  static constexpr std::size_t kConnectionsMax = 2'097'152;
  static constexpr std::size_t kUsesMax = 1024;
  static constexpr std::size_t kEvaluatedMax = 16'384;  // uses compared with the rules, the fullest first
  static constexpr std::size_t kTranslationsMax = 16'384;
  static constexpr double kTurnedAwayFrom = 0.1;  // turning away a less full use is not counted

  struct TurnedAway {
    std::uint64_t connections = 0;
    std::uint64_t uses = 0;
    std::uint64_t translations = 0;
  };

  // `takes_closed_again`: this kernel reuses the port of an ended TCP connection when no other is free.
  NatCensus(SourceGrouping grouping, bool takes_closed_again)
      : grouping_(grouping), takes_closed_again_(takes_closed_again) {}

  // Adds an entry with source NAT, destination NAT or both.
  void AddTranslated(const FlowEvent& flow, const FlowKey& reply);
  // Adds an entry without source NAT; it matters if its source is one of nat_addresses().
  void AddUntranslated(const FlowEvent& flow, const FlowKey& reply);

  // The addresses to which sources were translated, so far.
  std::set<IpAddress> nat_addresses();

  // Call it once. The fullest uses come first.
  NatFigures Finish(const SourceNatRules& rules);
  const TurnedAway& turned_away() const { return turned_away_; }

 private:
  // By the reply tuple, which the kernel keeps unique.
  template <std::size_t kBytes>
  struct Entry {
    std::array<std::uint8_t, kBytes> nat_address;
    std::array<std::uint8_t, kBytes> destination;
    std::array<std::uint8_t, kBytes> source;
    std::uint16_t destination_port;  // ICMP: type and code
    std::uint16_t zone;
    std::uint16_t port;
    std::uint16_t original_port;
    std::uint8_t protocol;
    bool closed;
    bool translated;
  };
  template <std::size_t kBytes>
  using Entries = std::vector<Entry<kBytes>>;

  // Entries of one address, towards one destination.
  struct Group {
    double fullest = 0;  // upper bound, whichever rule applies
    Family family = Family::kIpv4;
    std::size_t first = 0;
    std::size_t size = 0;
  };

  void Add(const FlowEvent& flow, const FlowKey& reply, bool translated);
  template <std::size_t kBytes>
  void AddTo(Entries<kBytes>& entries, const FlowEvent& flow, const FlowKey& reply, bool translated) const;
  template <std::size_t kBytes>
  void FindGroups(Entries<kBytes>& entries, std::uint32_t ports_least, std::vector<Group>& groups) const;
  template <std::size_t kBytes>
  static Group MakeGroup(std::span<const Entry<kBytes>> entries, std::uint32_t ports_least);
  template <std::size_t kBytes>
  static PortUse Evaluate(std::span<const Entry<kBytes>> entries, Family family, const SourceNatRules& rules);
  template <std::size_t kBytes>
  void AddHolders(std::span<const Entry<kBytes>> entries, Family family, PortUse& use) const;
  template <typename Visit>
  auto WithEntries(const Group& group, Visit&& visit) const;

  const SourceGrouping grouping_;
  const bool takes_closed_again_;
  Entries<4> ipv4_;
  Entries<16> ipv6_;
  std::map<std::pair<Endpoint, Endpoint>, std::uint64_t> destinations_;
  TurnedAway turned_away_;
};

}  // namespace conntally
