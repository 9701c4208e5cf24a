#include "daemon/diagnose/facts/rule_case.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/facts/case.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kLinksMax = 8;
constexpr double kSecondsToDecide = 0.5;  // for a queue's program to decide on at least one packet

bool SameRules(const FirewallReading& before, const FirewallReading& after, RuleBackend backend) {
  const auto then = before.backends.find(backend), now = after.backends.find(backend);
  return then != before.backends.end() && now != after.backends.end() && then->second.ruleset == now->second.ruleset;
}

std::uint64_t Rise(const std::optional<RuleCounter>& then, const std::optional<RuleCounter>& now) {
  if (!then || !now) return 0;
  return now->packets >= then->packets ? now->packets - then->packets : now->packets;  // a lower one was reset
}

}  // namespace

Packet TakenBy(const Rule& rule) {
  using Kind = RuleCondition::Kind;
  Packet packet;
  packet.family = rule.family == RuleFamily::kIp6 ? Family::kIpv6 : Family::kIpv4;
  for (const RuleCondition& condition : rule.conditions) {
    if (condition.negated || !condition.set.empty()) continue;
    const bool one_address =
        condition.addresses.size() == 1 && condition.addresses[0].first == condition.addresses[0].last;
    if (condition.kind == Kind::kSource && one_address)
      packet.source = condition.addresses[0].first, packet.family = packet.source->family;
    if (condition.kind == Kind::kDestination && one_address)
      packet.destination = condition.addresses[0].first, packet.family = packet.destination->family;
    if (condition.numbers.size() != 1) continue;
    const NumberRange& range = condition.numbers.front();
    if (condition.kind == Kind::kProtocol && range.first == range.last)
      packet.protocol = static_cast<std::uint8_t>(range.first);
    if (condition.kind == Kind::kDestinationPort) packet.destination_port = range;
  }
  return packet;
}

std::vector<std::string> UnreadRules(const FirewallReading& rules, const HostFacts& host) {
  std::vector<std::string> unread;
  for (const auto& [backend, read] : rules.backends) {
    // Without the capability it is unknown whether the kernel has the backend at all.
    if (!read.success && (read.present || read.lacks_capability || !host.can_administer_network))
      unread.emplace_back(NameOf(backend));
  }
  return unread;
}

bool IsPrivate(const IpAddress& address) {
  const auto& octets = address.bytes;
  if (address.family == Family::kIpv6) return (octets[0] & 0xfe) == 0xfc;
  return octets[0] == 10 || (octets[0] == 172 && (octets[1] & 0xf0) == 16) || (octets[0] == 192 && octets[1] == 168) ||
         (octets[0] == 100 && (octets[1] & 0xc0) == 64);
}

RuleCase::RuleCase(const RuleInputs& given)
    : inputs(given),
      walker(given.after),
      commands(walker,
               FindFirewallTools(given.root, given.host.entered ? OwnersServe::kOtherRules : OwnersServe::kTheseRules)),
      unread(UnreadRules(given.after, given.host)) {}

bool RuleCase::narrowed() const {
  const Question& question = inputs.question;
  return question.source || question.destination || question.destination_port || question.protocol;
}

PacketInterface InterfaceOf(const Link& link) { return {link.index, link.name, link.kind == "bridge"}; }

std::optional<PacketInterface> RuleCase::WayOut(const Packet& packet) const {
  RouteQuestion question{*packet.destination};
  const bool same_family = packet.source && packet.source->family == packet.destination->family;
  const bool arrives = packet.in && packet.in->index != 0;
  if (same_family && (arrives || packet.source_is_local == true)) question.source = packet.source;
  if (same_family && arrives) question.in_link = packet.in->index;
  question.mark = packet.mark.value_or(0);
  question.protocol = packet.protocol.value_or(0);
  const auto& port = packet.destination_port;
  if (port && port->first == port->last) question.destination_port = static_cast<std::uint16_t>(port->first);
  auto route = inputs.find_route(question);
  // Follows packets that this host does not forward too: another check reports that.
  const bool leads = route && (route->kind == Route::Kind::kForward || route->kind == Route::Kind::kLocal);
  if (!leads) route = inputs.find_route({*packet.destination});
  if (!route || (route->kind != Route::Kind::kForward && route->kind != Route::Kind::kLocal)) return std::nullopt;
  if (route->kind == Route::Kind::kLocal) return PacketInterface{1, "lo"};
  const Link* link = inputs.host.LinkOf(route->link);
  return link != nullptr ? std::optional(InterfaceOf(*link)) : std::nullopt;
}

WalkRouting RuleCase::Routing() const {
  WalkRouting routing;
  routing.is_local = [this](const IpAddress& address) -> std::optional<bool> { return inputs.host.IsLocal(address); };
  routing.way_out = [this](const Packet& packet) { return WayOut(packet); };
  routing.address_of = [this](const PacketInterface& link, Family family) { return AddressOn(link.index, family); };
  routing.reader_of = [this](std::uint32_t queue) -> std::optional<QueueReader> {
    const auto& queues = inputs.host.first.queues;
    if (!queues) return std::nullopt;
    if (!queues->contains(queue)) return QueueReader::kNone;
    return seconds() >= kSecondsToDecide && inputs.host.Hangs(queue) ? QueueReader::kStuck : QueueReader::kDecides;
  };
  return routing;
}

Walk RuleCase::Through(const PacketWalker& rules, const AskedPacket& asked, Limits limits) const {
  WalkRouting routing = Routing();
  routing.limits = limits;
  if (asked.bridged) return rules.Bridged(asked.packet, routing, BridgedMeetIpRules(asked.packet.family));
  return asked.leaves ? rules.Leaves(asked.packet, routing) : rules.Arrives(asked.packet, routing);
}

std::optional<std::uint64_t> RuleCase::Packets(RuleRef rule) const {
  const auto& counter = inputs.after.backends.at(rule.backend).counters.at(rule.rule);
  return counter ? std::optional(counter->packets) : std::nullopt;
}

std::uint64_t RuleCase::Growth(RuleRef rule) const {
  if (!SameRules(inputs.before, inputs.after, rule.backend)) return 0;
  return Rise(inputs.before.backends.at(rule.backend).counters.at(rule.rule),
              inputs.after.backends.at(rule.backend).counters.at(rule.rule));
}

std::optional<std::uint64_t> RuleCase::PolicyPackets(ChainRef chain) const {
  const auto& policies = inputs.after.backends.at(chain.backend).policies;
  if (chain.chain >= policies.size() || !policies[chain.chain]) return std::nullopt;
  return policies[chain.chain]->packets;
}

std::uint64_t RuleCase::PolicyGrowth(ChainRef chain) const {
  if (!SameRules(inputs.before, inputs.after, chain.backend)) return 0;
  const auto& then = inputs.before.backends.at(chain.backend).policies;
  const auto& now = inputs.after.backends.at(chain.backend).policies;
  return chain.chain < then.size() && chain.chain < now.size() ? Rise(then[chain.chain], now[chain.chain]) : 0;
}

double RuleCase::seconds() const {
  return std::chrono::duration<double>(inputs.host.last.when - inputs.host.first.when).count();
}

std::string RuleCase::Counted(const Decision& decision) const {
  const auto packets = decision.rule ? Packets(*decision.rule) : PolicyPackets(decision.base);
  if (!packets) return decision.rule ? "the rule has no counter" : "nft counts nothing for a policy";
  const std::uint64_t growth = decision.rule ? Growth(*decision.rule) : PolicyGrowth(decision.base);
  return fmt::format("it has counted {} packets, {} of them in the {:.1f} s of this observation", Grouped(*packets),
                     Grouped(growth), std::max(seconds(), 0.1));
}

std::string RuleCase::Place(const Decision& decision) const {
  std::string place = decision.rule ? commands.Place(*decision.rule) : commands.Place(walker.chain(decision.base));
  for (const RuleRef jump : decision.jumps) place += fmt::format("; reached by {}", commands.Place(jump));
  return place;
}

std::vector<const Link*> RuleCase::OuterLinks() const {
  std::vector<const Link*> links;
  if (!inputs.host.links || !inputs.host.addresses) return links;
  for (const Link& link : *inputs.host.links) {
    const bool addressed = std::any_of(inputs.host.addresses->begin(), inputs.host.addresses->end(),
                                       [&](const LocalAddress& each) { return each.link == link.index; });
    if (link.up && !link.loopback && addressed && links.size() < kLinksMax) links.push_back(&link);
  }
  return links;
}

std::optional<IpAddress> RuleCase::AddressOn(std::uint32_t link, Family family) const {
  if (!inputs.host.addresses) return std::nullopt;
  std::optional<IpAddress> found;
  for (const LocalAddress& each : *inputs.host.addresses) {
    if (each.link != link || each.address.family != family) continue;
    if (!IsOfLinkAlone(each.address)) return each.address;
    if (!found) found = each.address;
  }
  return found;
}

bool RuleCase::BridgedMeetIpRules(Family family) const {
  const char* path =
      family == Family::kIpv4 ? "net/bridge/bridge-nf-call-iptables" : "net/bridge/bridge-nf-call-ip6tables";
  return NumberOf(inputs.host.sysctls, path).value_or(0) != 0;
}

bool RuleCase::Forwards(Family family) const {
  if (inputs.host.routes.bridged) return true;  // IP forwarding settings do not apply to a bridge
  const bool ipv4 = family == Family::kIpv4;
  const auto is_on = [&](const std::string& path) { return NumberOf(inputs.host.sysctls, path).value_or(0) != 0; };
  if (is_on(ipv4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding")) return true;
  const auto& links = inputs.host.links;
  return links && std::any_of(links->begin(), links->end(), [&](const Link& link) {
           return !link.loopback && is_on(ipv4 ? "net/ipv4/conf/" + link.name + "/forwarding"
                                               : "net/ipv6/conf/" + link.name + "/force_forwarding");
         });
}

std::optional<ChainRef> RuleCase::BaseOf(const Rule& rule) const {
  const std::vector<RuleChain>& chains = inputs.after.backends.at(rule.backend).ruleset->chains;
  std::vector<const RuleChain*> leading = {walker.ChainNamed(rule.backend, rule.family, rule.table, rule.chain)};
  std::optional<ChainRef> base;
  for (std::size_t i = 0; i < leading.size(); ++i) {
    const RuleChain* chain = leading[i];
    if (chain == nullptr) continue;
    const auto index = static_cast<std::size_t>(chain - chains.data());
    if (chain->base && (!base || index < base->chain)) base = ChainRef{rule.backend, index};
    for (const ChainGraph::Entrance& entrance : walker.graph(rule.backend).EntrancesOf(*chain)) {
      if (std::find(leading.begin(), leading.end(), entrance.chain) == leading.end()) leading.push_back(entrance.chain);
    }
  }
  return base;
}

}  // namespace conntally::diagnose
