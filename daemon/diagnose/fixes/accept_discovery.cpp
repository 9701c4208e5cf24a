// The commands that accept IPv6's neighbour discovery.
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <utility>

#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {

Result<Fix> FirewallCommands::AcceptDiscovery(const Decision& stop, const std::string& link, bool leaves,
                                              const std::vector<IpAddress>& neighbours) const {
  using Kind = RuleCondition::Kind;
  Packet discovery;
  discovery.family = Family::kIpv6;
  discovery.protocol = IPPROTO_ICMPV6;
  const auto spot = SpotOf(stop, discovery);
  if (!spot) return spot.error();
  // Solicitations and advertisements come from the neighbour's address or from its link-local one.
  std::string sources = "fe80::/10";
  RuleCondition from;
  from.addresses = {RangeOf({*IpAddress::Parse("fe80::"), 10})};
  const bool by_nft = ToolOf(spot->chain->backend, spot->chain->family, spot->chain->table) == "nft";
  if (!CanNameLink(link) || (by_nft && !(IsNftName(spot->chain->table) && IsNftName(spot->chain->name))))
    return Error{"there are no words for the name of the link or of the chain"};
  for (const IpAddress& each : neighbours) {
    sources += (by_nft ? ", " : ",") + each.ToString();
    from.addresses.push_back({each, each});
  }
  RuleCondition by, icmp, types;
  by.kind = leaves ? Kind::kOutInterface : Kind::kInInterface;
  by.interfaces = {link};
  icmp.kind = Kind::kProtocol;
  icmp.numbers = {{IPPROTO_ICMPV6, IPPROTO_ICMPV6}};
  types.kind = Kind::kIcmpType;
  Fix fix;
  const auto put = [&](const std::string& text, const std::vector<NumberRange>& accepted) {
    const Fix one =
        PutText(*spot, text, "lets neighbours on " + link + " and this host find each other; IPv6 needs it");
    types.numbers = accepted;
    std::vector<RuleCondition> conditions = {by, icmp, types};
    if (!leaves) conditions.push_back(from);
    fix.Append(one);
    fix.edits.push_back(EditAt(*spot, text, std::move(conditions)));
  };
  if (by_nft) {
    const std::string who =
        leaves ? "oifname \"" + link + '"' : fmt::format("iifname \"{}\" ip6 saddr {{ {} }}", link, sources);
    put(who + " icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        {{ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT}});
    return fix;
  }
  const std::string who = leaves ? "-o " + ShellWord(link) : fmt::format("-i {} -s {}", ShellWord(link), sources);
  for (const std::uint32_t type : {std::uint32_t{ND_NEIGHBOR_SOLICIT}, std::uint32_t{ND_NEIGHBOR_ADVERT}})
    put(fmt::format("{} -p ipv6-icmp --icmpv6-type {} -j ACCEPT", who, type), {{type, type}});
  return fix;
}

}  // namespace conntally::diagnose
