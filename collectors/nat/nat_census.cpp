#include "collectors/nat/nat_census.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include <algorithm>
#include <tuple>

namespace conntally {
namespace {

constexpr std::size_t kSamplesMax = 64;  // of one use's connections, compared with the rules
constexpr double kNearlyFull = 0.5;  // from here on the fuller range is reported, not the one with more ports in use

bool IsIcmp(std::uint8_t protocol) { return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6; }

// Protocols whose port or id the kernel changes to make tuples unique (nf_nat_l4proto_unique_tuple).
bool HasPortsToGive(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || IsIcmp(protocol);
}

// nf_nat_core.c (nf_nat_may_kill): TIME_WAIT, CLOSE.
bool IsClosed(const FlowEvent& flow) {
  return flow.key.protocol == IPPROTO_TCP && (flow.status & IPS_SRC_NAT) != 0 &&
         (flow.status & IPS_FIXED_TIMEOUT) == 0 &&
         (flow.tcp_state == TcpState::kTimeWait || flow.tcp_state == TcpState::kClose);
}

template <std::size_t kBytes>
IpAddress AddressFrom(const std::array<std::uint8_t, kBytes>& bytes, Family family) {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  address.family = family;
  return address;
}

Endpoint EndOf(const std::array<std::uint8_t, 16>& address, std::uint16_t port, const FlowKey& key) {
  return {{address, key.family}, IsIcmp(key.protocol) ? std::uint16_t{0} : port, key.protocol};
}

const auto kUseOf = [](const auto& entry) {
  return std::tie(entry.nat_address, entry.destination, entry.protocol, entry.destination_port, entry.zone);
};
const auto kPlaceOf = [](const auto& entry) { return std::tuple_cat(kUseOf(entry), std::tie(entry.port)); };

}  // namespace

void NatCensus::AddTranslated(const FlowEvent& flow, const FlowKey& reply) {
  if ((flow.status & IPS_DST_NAT) != 0) {
    const std::pair place{EndOf(flow.key.destination, flow.key.destination_port, flow.key),
                          EndOf(reply.source, reply.source_port, flow.key)};
    const auto found = destinations_.find(place);
    if (found != destinations_.end()) {
      ++found->second;
    } else if (destinations_.size() < kTranslationsMax) {
      destinations_.emplace(place, 1);
    } else {
      ++turned_away_.translations;
    }
  }
  if ((flow.status & IPS_SRC_NAT) != 0) Add(flow, reply, true);
}

void NatCensus::AddUntranslated(const FlowEvent& flow, const FlowKey& reply) { Add(flow, reply, false); }

void NatCensus::Add(const FlowEvent& flow, const FlowKey& reply, bool translated) {
  if (!HasPortsToGive(flow.key.protocol)) return;
  if (ipv4_.size() + ipv6_.size() >= kConnectionsMax) {
    ++turned_away_.connections;
    return;
  }
  flow.key.family == Family::kIpv4 ? AddTo(ipv4_, flow, reply, translated) : AddTo(ipv6_, flow, reply, translated);
}

template <std::size_t kBytes>
void NatCensus::AddTo(Entries<kBytes>& entries, const FlowEvent& flow, const FlowKey& reply, bool translated) const {
  const bool icmp = IsIcmp(flow.key.protocol);
  Entry<kBytes> entry{};
  std::copy_n(reply.destination.begin(), kBytes, entry.nat_address.begin());
  std::copy_n(reply.source.begin(), kBytes, entry.destination.begin());
  std::copy_n(flow.key.source.begin(), kBytes, entry.source.begin());
  entry.destination_port = icmp ? flow.key.destination_port : reply.source_port;
  entry.zone = reply.zone;
  entry.port = icmp ? reply.source_port : reply.destination_port;
  entry.original_port = flow.key.source_port;
  entry.protocol = flow.key.protocol;
  entry.closed = takes_closed_again_ && IsClosed(flow);
  entry.translated = translated;
  entries.push_back(entry);
}

std::set<IpAddress> NatCensus::nat_addresses() {
  std::set<IpAddress> addresses;
  const auto add = [&](auto& entries, Family family) {
    std::sort(entries.begin(), entries.end(),
              [](const auto& one, const auto& other) { return kPlaceOf(one) < kPlaceOf(other); });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i == 0 || entries[i].nat_address != entries[i - 1].nat_address)
        addresses.insert(AddressFrom(entries[i].nat_address, family));
    }
  };
  add(ipv4_, Family::kIpv4);
  add(ipv6_, Family::kIpv6);
  return addresses;
}

// The entries are ordered by port, so those of one kernel range are adjacent.
template <std::size_t kBytes>
NatCensus::Group NatCensus::MakeGroup(std::span<const Entry<kBytes>> entries, std::uint32_t ports_least) {
  const auto is_translated = [](const Entry<kBytes>& entry) { return entry.translated; };
  if (std::none_of(entries.begin(), entries.end(), is_translated)) return {};
  Group group;
  group.size = entries.size();
  NumberRange range;
  std::uint32_t used = 0;
  for (const Entry<kBytes>& entry : entries) {
    if (used == 0 || !range.Contains(entry.port)) {
      range = KernelPorts(entry.protocol, entry.port);
      used = 0;
    }
    const std::uint32_t ports = std::min(range.last - range.first + 1, ports_least);
    group.fullest = std::max(group.fullest, static_cast<double>(++used) / ports);
  }
  return group;
}

template <std::size_t kBytes>
void NatCensus::FindGroups(Entries<kBytes>& entries, std::uint32_t ports_least, std::vector<Group>& groups) const {
  std::sort(entries.begin(), entries.end(),
            [](const auto& one, const auto& other) { return kPlaceOf(one) < kPlaceOf(other); });
  const auto end = std::unique(entries.begin(), entries.end(),
                               [](const auto& one, const auto& other) { return kPlaceOf(one) == kPlaceOf(other); });
  entries.erase(end, entries.end());
  for (std::size_t first = 0, last = 0; first < entries.size(); first = last) {
    while (last < entries.size() && kUseOf(entries[last]) == kUseOf(entries[first])) ++last;
    Group group = MakeGroup(std::span<const Entry<kBytes>>(entries).subspan(first, last - first), ports_least);
    if (group.size == 0) continue;
    group.family = kBytes == 4 ? Family::kIpv4 : Family::kIpv6;
    group.first = first;
    groups.push_back(group);
  }
}

template <std::size_t kBytes>
PortUse NatCensus::Evaluate(std::span<const Entry<kBytes>> entries, Family family, const SourceNatRules& rules) {
  PortUse use;
  use.nat_address = AddressFrom(entries[0].nat_address, family);
  use.destination = {AddressFrom(entries[0].destination, family),
                     IsIcmp(entries[0].protocol) ? std::uint16_t{0} : entries[0].destination_port, entries[0].protocol};
  std::vector<SourceNatRules::Given> samples;
  const std::size_t step = std::max<std::size_t>(entries.size() / kSamplesMax, 1);
  for (std::size_t i = 0; i < entries.size(); i += samples.empty() ? 1 : step) {
    const Entry<kBytes>& entry = entries[i];
    if (!entry.translated) continue;
    SourceNatRules::Given given{{}, entry.original_port, use.nat_address, entry.port};
    given.packet.family = family;
    given.packet.source = AddressFrom(entry.source, family);
    given.packet.destination = use.destination.address;
    given.packet.protocol = entry.protocol;
    given.packet.status.reset();
    given.packet.mark.reset();
    if (!IsIcmp(entry.protocol)) {
      given.packet.source_port = NumberRange{entry.original_port, entry.original_port};
      given.packet.destination_port = NumberRange{use.destination.port, use.destination.port};
    }
    samples.push_back(std::move(given));
  }
  for (const NumberRange& range : rules.PortsOf(samples)) {
    PortUse of_range = use;
    of_range.ports = range;
    of_range.used = of_range.closed = 0;
    for (const Entry<kBytes>& entry : entries) {
      if (!range.Contains(entry.port)) continue;
      ++of_range.used;
      if (entry.closed) ++of_range.closed;
    }
    const bool first = use.ports.last == 0;
    const bool near = of_range.usage() >= kNearlyFull || (!first && use.usage() >= kNearlyFull);
    if (first || (near ? of_range.usage() > use.usage() : of_range.used > use.used)) use = of_range;
  }
  return use;
}

template <std::size_t kBytes>
void NatCensus::AddHolders(std::span<const Entry<kBytes>> entries, Family family, PortUse& use) const {
  std::map<IpAddress, std::uint64_t> counts;
  for (const Entry<kBytes>& entry : entries) {
    if (use.ports.Contains(entry.port)) ++counts[Masked(AddressFrom(entry.source, family), grouping_.Of(family))];
  }
  use.sources = static_cast<std::uint32_t>(counts.size());
  for (const auto& [source, connections] : counts) use.holders.push_back({source, connections});
  std::stable_sort(
      use.holders.begin(), use.holders.end(),
      [](const PortUse::Holder& one, const PortUse::Holder& other) { return one.connections > other.connections; });
  if (use.holders.size() > PortUse::kHoldersMax) use.holders.resize(PortUse::kHoldersMax);
}

template <typename Visit>
auto NatCensus::WithEntries(const Group& group, Visit&& visit) const {
  if (group.family == Family::kIpv4) return visit(std::span(ipv4_).subspan(group.first, group.size));
  return visit(std::span(ipv6_).subspan(group.first, group.size));
}

NatFigures NatCensus::Finish(const SourceNatRules& rules) {
  std::vector<Group> groups;
  FindGroups(ipv4_, rules.ports_least(), groups);
  FindGroups(ipv6_, rules.ports_least(), groups);
  // Among equally full ones, those with more ports in use first.
  const auto fuller = [](const Group& one, const Group& other) {
    return std::pair(one.fullest, one.size) > std::pair(other.fullest, other.size);
  };
  const auto turn_away_beyond = [&](std::size_t most, auto& list, auto&& usage_of) {
    for (std::size_t i = most; i < list.size(); ++i)
      turned_away_.uses += usage_of(list[i]) >= kTurnedAwayFrom ? 1U : 0U;
    if (list.size() > most) list.erase(list.begin() + static_cast<std::ptrdiff_t>(most), list.end());
  };
  std::sort(groups.begin(), groups.end(), fuller);
  turn_away_beyond(kEvaluatedMax, groups, [](const Group& group) { return group.fullest; });

  std::vector<std::pair<PortUse, const Group*>> uses;
  for (const Group& group : groups) {
    const auto evaluate = [&](auto entries) { return Evaluate(entries, group.family, rules); };
    uses.emplace_back(WithEntries(group, evaluate), &group);
  }
  std::stable_sort(uses.begin(), uses.end(), [](const auto& one, const auto& other) {
    return std::pair(one.first.usage(), one.first.used) > std::pair(other.first.usage(), other.first.used);
  });
  // Each zone has its own ports: of uses that differ only by zone, the fullest is reported.
  std::set<std::pair<IpAddress, Endpoint>> told;
  std::erase_if(uses,
                [&](const auto& use) { return !told.emplace(use.first.nat_address, use.first.destination).second; });
  turn_away_beyond(kUsesMax, uses, [](const auto& use) { return use.first.usage(); });

  NatFigures figures;
  for (auto& [use, group] : uses) {
    WithEntries(*group, [this, of = &use, family = group->family](auto entries) { AddHolders(entries, family, *of); });
    figures.uses.push_back(std::move(use));
  }
  for (const auto& [ends, connections] : destinations_)
    figures.destinations.push_back({ends.first, ends.second, connections});
  return figures;
}

}  // namespace conntally
