#include "daemon/diagnose/facts/refusal.h"

#include <linux/rtnetlink.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <iterator>
#include <vector>

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

std::string AsksOf(const RoutingRule& rule, const std::optional<Prefix>& source,
                   const std::optional<Prefix>& destination) {
  std::string asks = Words(source, "from") + Words(destination, "to");
  if (!source) asks = "from all " + asks;
  if (rule.inverted) asks = "not " + asks;
  if (rule.mark_mask != 0) asks += fmt::format("fwmark {:#x}/{:#x} ", rule.mark, rule.mark_mask);
  if (!rule.in_link.empty()) asks += "iif " + rule.in_link + " ";
  return asks;
}

bool IsOne(const std::optional<Prefix>& prefix) {
  return prefix && prefix->length == AddressBits(prefix->address.family);
}

// `next`: the priority of the next rule of the family; nullopt: there is none, or it is the same.
Refusal ByRule(const RoutingRule& rule, std::optional<std::uint32_t> next, const RouteQuestion& question) {
  const std::string tool = rule.family == Family::kIpv6 ? "ip -6 rule " : "ip rule ";
  const std::string text = fmt::format("{}priority {} {}", AsksOf(rule, rule.source, rule.destination), rule.priority,
                                       NameOf(*rule.refuses));
  Refusal refusal{"rule of policy routing: " + text, tool + "del " + text, {}, {}};
  if (IsOne(rule.source) || IsOne(rule.destination)) {
    refusal.pass = refusal.remove;
    refusal.undo = tool + "add " + text;
  } else if (next && rule.priority > 0 && !rule.inverted) {
    const auto one = [](const IpAddress& address) {
      return Prefix{address, static_cast<std::uint8_t>(AddressBits(address.family))};
    };
    const std::string over = fmt::format(
        "{}priority {} goto {}",
        AsksOf(rule, question.source ? std::optional(one(*question.source)) : rule.source, one(question.destination)),
        rule.priority - 1, *next);
    refusal.pass = tool + "add " + over;
    refusal.undo = tool + "del " + over;
  }
  return refusal;
}

Refusal ByRoutes(const std::vector<const RefusingRoute*>& routes, const RouteQuestion& question) {
  const Prefix& prefix = routes.front()->destination;
  const std::string tool = prefix.address.family == Family::kIpv6 ? "ip -6 route " : "ip route ";
  Refusal refusal;
  std::string restore;
  for (const RefusingRoute* route : routes) {
    std::string text = fmt::format("{} {}/{}", NameOf(route->kind), prefix.address.ToString(), prefix.length);
    if (route->table != RT_TABLE_MAIN) text += fmt::format(" table {}", route->table);
    if (route->metric != 0) text += fmt::format(" metric {}", route->metric);
    const char* head = refusal.what.empty() ? "" : " && ";
    refusal.what += (refusal.what.empty() ? "route " : ", and ") + text;
    refusal.remove += head + tool + "del " + text;
    restore += head + tool + "add " + text;
  }
  const std::uint32_t table = routes.front()->table;
  if (IsOne(prefix)) {
    refusal.pass = refusal.remove;
    refusal.undo = restore;
  } else if (table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT) {
    // throw: the next rule decides, as if this table had no route.
    const std::string text =
        fmt::format("throw {}/{} table {}", question.destination.ToString(), AddressBits(prefix.address.family), table);
    refusal.pass = tool + "add " + text;
    refusal.undo = tool + "del " + text;
  }
  return refusal;
}

}  // namespace

std::optional<Refusal> FindRefusal(const HostFacts& host, const RouteQuestion& question) {
  if (!host.routing) return std::nullopt;
  const Link* link = host.LinkOf(question.in_link);
  const std::string in_link = question.in_link == 0 ? "lo" : link != nullptr ? link->name : std::string();
  const auto& rules = host.routing->rules;
  for (auto rule = rules.begin(); rule != rules.end(); ++rule) {
    if (!Takes(*rule, question, in_link)) continue;
    if (rule->refuses) {
      const auto next = std::find_if(std::next(rule), rules.end(), [&](const RoutingRule& other) {
        return other.family == rule->family && other.priority > rule->priority;
      });
      return ByRule(*rule, next == rules.end() ? std::nullopt : std::optional(next->priority), question);
    }
    std::vector<const RefusingRoute*> narrowest;  // of one prefix
    for (const RefusingRoute& route : host.routing->routes) {
      if (route.table != rule->table || !route.destination.Contains(question.destination)) continue;
      const int longer = narrowest.empty() ? 1 : route.destination.length - narrowest.front()->destination.length;
      if (longer > 0) narrowest.clear();
      if (longer >= 0) narrowest.push_back(&route);
    }
    if (!narrowest.empty()) return ByRoutes(narrowest, question);
  }
  return std::nullopt;
}

}  // namespace conntally::diagnose
