// The routes of the asked traffic, there and back.
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "collectors/host/network_reader.h"
#include "daemon/diagnose/facts/host_facts.h"
#include "daemon/diagnose/facts/refusal.h"

namespace conntally::diagnose {
namespace {

// The kernel refuses an arriving packet by policy with the same error as one with an invalid source.
Result<Route> FindWay(const RouteQuestion& question, const HostFacts& facts) {
  auto route = FindRoute(question);
  if (route && route->kind == Route::Kind::kFiltered && route->error == EINVAL &&
      (question.destination.family == Family::kIpv6 || FindRefusal(facts, question)))
    route->kind = Route::Kind::kUnreachable;
  return route;
}

// Whether a packet would not be routed between the two: neither has a route, or both have the same gateway.
bool AreOneWay(const std::optional<Result<Route>>& one, const std::optional<Result<Route>>& other) {
  if (!one || !*one || !other || !*other) return false;
  const bool leads = (*one)->kind == Route::Kind::kForward, other_leads = (*other)->kind == Route::Kind::kForward;
  if (!leads || !other_leads) return leads == other_leads;
  return (*one)->gateway && (*one)->gateway == (*other)->gateway && (*one)->link == (*other)->link;
}

// The bridge that both ends may be behind: the only one without an address of this host, if no route leads from one end
// to the other.
const Link* BridgeBetween(const AskedRoutes& routes, const HostFacts& facts) {
  if (routes.source_is_local || routes.destination_is_local || !AreOneWay(routes.to_source, routes.to_destination) ||
      !facts.links || !facts.addresses)
    return nullptr;
  const Link* only = nullptr;
  for (const Link& link : *facts.links) {
    const bool addressed = std::any_of(facts.addresses->begin(), facts.addresses->end(), [&](const LocalAddress& each) {
      return each.link == link.index && !IsOfLinkAlone(each.address);
    });
    if (link.kind != "bridge" || !link.up || addressed) continue;
    if (only != nullptr) return nullptr;
    only = &link;
  }
  return only;
}

// Whether what arrives for the address is delivered here. In a VRF only a packet's own link leads to its table.
bool IsDelivered(const LocalAddress& local, const Question& question, const AskedRoutes& routes,
                 const HostFacts& facts) {
  const bool arrives = question.source && question.source->family == local.address.family && routes.in_link != 0;
  const bool vrf =
      facts.links && std::ranges::any_of(*facts.links, [](const Link& each) { return each.kind == "vrf"; });
  if (!arrives && vrf) return true;
  const auto route = arrives ? FindRoute({local.address, question.source, routes.in_link}) : FindRoute({local.address});
  return !route || (route->kind != Route::Kind::kForward && route->kind != Route::Kind::kUnreachable);
}

}  // namespace

std::vector<LocalAddress> HostFacts::AskedAddresses(const Question& question, const AskedRoutes& asked) const {
  constexpr std::size_t kAddressesMax = 16;  // on a link of a thousand it is not known which one is meant
  std::vector<LocalAddress> found;
  if (!addresses || (question.source && asked.source_is_local)) return found;
  const auto& to = question.destination;
  for (const LocalAddress& each : *addresses) {
    const bool of_link = question.source && each.link == asked.in_link && !IsOfLinkAlone(each.address) &&
                         each.address.family == question.source->family;
    if (to ? each.address == *to : of_link) found.push_back(each);
  }
  return found.size() <= kAddressesMax ? found : std::vector<LocalAddress>();
}

AskedRoutes FindAskedRoutes(const Question& question, const HostFacts& facts) {
  AskedRoutes routes;
  const std::uint8_t protocol = question.protocol.value_or(std::uint8_t{IPPROTO_TCP});
  const std::uint16_t port = question.destination_port.value_or(0);
  if (question.destination) {
    routes.destination_is_local = facts.IsLocal(*question.destination);
    // A route of the local table may cover whole prefixes (AnyIP).
    const auto direct = FindRoute({*question.destination, {}, 0});
    if (direct && direct->kind == Route::Kind::kLocal) routes.destination_is_local = true;
  }
  if (question.source) {
    routes.source_is_local = facts.IsLocal(*question.source);
    const bool answers_as_destination =
        question.destination && routes.destination_is_local && question.destination->family == question.source->family;
    RouteQuestion back{*question.source, answers_as_destination ? question.destination : std::nullopt};
    back.protocol = protocol, back.source_port = port;
    routes.to_source = FindRoute(back);
    // Only now is it known from which of its addresses it answers, if it does.
    const bool answers = !question.destination || routes.destination_is_local;
    if (const auto& way = *routes.to_source; answers && !back.source && way && way->preferred_source) {
      back.source = way->preferred_source;
      if (auto refused = FindRoute(back); refused && refused->kind == Route::Kind::kUnreachable)
        routes.to_source = std::move(refused);
    }
    // Answers leave by the link of the neighbour that has the address.
    if (IsOfLinkAlone(*question.source) && !routes.source_is_local) {
      const auto neighbours = ReadNeighbours();
      for (const Neighbour& each : neighbours ? *neighbours : std::vector<Neighbour>{}) {
        if (each.address == *question.source) routes.to_source = Route{Route::Kind::kForward, each.link, {}, {}, 0};
      }
    }
    const auto& way_back = *routes.to_source;
    if (!routes.source_is_local && way_back && way_back->kind == Route::Kind::kForward) routes.in_link = way_back->link;
  }
  if (question.destination) {
    const bool same_family = question.source && question.source->family == question.destination->family;
    const auto plain = FindRoute({*question.destination});
    if (plain && plain->kind == Route::Kind::kForward) routes.out_link = plain->link;
    routes.same_network = !routes.destination_is_local && routes.in_link != 0 && plain &&
                          plain->kind == Route::Kind::kForward && plain->link == routes.in_link && !plain->gateway &&
                          !(*routes.to_source)->gateway;
    const Link* link = facts.LinkOf(routes.in_link);
    routes.bridged = routes.same_network && link != nullptr && link->kind == "bridge";
    const bool from = same_family && (routes.in_link != 0 || routes.source_is_local);  // else the kernel thinks it ours
    RouteQuestion on{*question.destination, from ? question.source : std::nullopt, routes.in_link};
    on.protocol = protocol, on.destination_port = port;
    routes.to_destination = FindWay(on, facts);
    // Forwarded answers arrive by another link than those that this host sends, and policy routing may test that. (If
    // it does not forward at all, another check reports that.)
    if (const auto& way = *routes.to_destination; same_family && !routes.destination_is_local && way &&
                                                  way->kind == Route::Kind::kForward && routes.in_link != 0) {
      RouteQuestion back{*question.source, question.destination, way->link};
      back.protocol = protocol, back.source_port = port;
      if (auto refused = FindWay(back, facts);
          refused && refused->kind == Route::Kind::kUnreachable && refused->error != EHOSTUNREACH)
        routes.to_source = std::move(refused);
    }
    if (const Link* bridge = BridgeBetween(routes, facts)) {
      routes.same_network = routes.bridged = true;
      routes.in_link = bridge->index;
    }
  }
  for (const LocalAddress& each : facts.AskedAddresses(question, routes)) {
    if (!IsDelivered(each, question, routes, facts)) routes.undelivered.push_back(each);
  }
  return routes;
}

}  // namespace conntally::diagnose
