#include "daemon/diagnose/facts/refusal.h"

#include <linux/rtnetlink.h>
#include <spdlog/fmt/fmt.h>

namespace conntally::diagnose {
namespace {

std::string Words(const std::optional<Prefix>& prefix, const char* head) {
  if (!prefix) return {};
  return fmt::format("{} {}/{} ", head, prefix->address.ToString(), prefix->length);
}

// Conditions on unknown fields count as true: it is called only after the kernel has refused the packet.
bool Takes(const RoutingRule& rule, const RouteQuestion& question, const std::string& in_link) {
  if (rule.family != question.destination.family || rule.asks_more) return false;
  const bool by_source = !rule.source || (question.source && rule.source->Contains(*question.source));
  const bool by_destination = !rule.destination || rule.destination->Contains(question.destination);
  const bool by_mark = (question.mark & rule.mark_mask) == (rule.mark & rule.mark_mask);
  const bool by_link = rule.in_link.empty() || rule.in_link == in_link;
  return (by_source && by_destination && by_mark && by_link && rule.out_link.empty()) != rule.inverted;
}

Refusal ByRule(const RoutingRule& rule) {
  std::string asks = Words(rule.source, "from") + Words(rule.destination, "to");
  if (!rule.source) asks = "from all " + asks;
  if (rule.inverted) asks = "not " + asks;
  if (rule.mark_mask != 0) asks += fmt::format("fwmark {:#x}/{:#x} ", rule.mark, rule.mark_mask);
  if (!rule.in_link.empty()) asks += "iif " + rule.in_link + " ";
  const std::string tool = rule.family == Family::kIpv6 ? "ip -6 rule " : "ip rule ";
  const std::string text = fmt::format("{}priority {} {}", asks, rule.priority, NameOf(*rule.refuses));
  return {"rule of policy routing: " + text, tool + "del " + text, tool + "add " + text};
}

Refusal ByRoute(const RefusingRoute& route) {
  const std::string tool = route.destination.address.family == Family::kIpv6 ? "ip -6 route " : "ip route ";
  std::string text =
      fmt::format("{} {}/{}", NameOf(route.kind), route.destination.address.ToString(), route.destination.length);
  if (route.table != RT_TABLE_MAIN) text += fmt::format(" table {}", route.table);
  if (route.metric != 0) text += fmt::format(" metric {}", route.metric);
  return {"route " + text, tool + "del " + text, tool + "add " + text};
}

}  // namespace

std::optional<Refusal> FindRefusal(const HostFacts& host, const RouteQuestion& question) {
  if (!host.routing) return std::nullopt;
  const Link* link = host.LinkOf(question.in_link);
  const std::string in_link = question.in_link == 0 ? "lo" : link != nullptr ? link->name : std::string();
  for (const RoutingRule& rule : host.routing->rules) {
    if (!Takes(rule, question, in_link)) continue;
    if (rule.refuses) return ByRule(rule);
    const RefusingRoute* narrowest = nullptr;
    for (const RefusingRoute& route : host.routing->routes) {
      if (route.table != rule.table || !route.destination.Contains(question.destination)) continue;
      if (narrowest == nullptr || route.destination.length > narrowest->destination.length) narrowest = &route;
    }
    if (narrowest != nullptr) return ByRoute(*narrowest);
  }
  return std::nullopt;
}

}  // namespace conntally::diagnose
