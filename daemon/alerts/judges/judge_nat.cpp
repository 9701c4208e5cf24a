#include "daemon/alerts/judges/judge_nat.h"

#include "collectors/tally/protocol_names.h"

namespace conntally {

std::string NatJudge::NameOf(const PortUse& use) {
  const IpAddress& address = use.destination.address;
  std::string to = address.ToString();
  if (use.destination.port != 0)
    to = (address.family == Family::kIpv6 ? "[" + to + "]:" : to + ":") + std::to_string(use.destination.port);
  return fmt::format("{} to {} ({})", use.nat_address.ToString(), to, ProtocolName(use.destination.protocol));
}

// The kernel tries some ports at random before it gives up, so a few may be free when it does.
bool NatJudge::AnyExhausted(const NatFigures& figures) {
  constexpr double kExhausted = 0.98;
  return std::any_of(figures.uses.begin(), figures.uses.end(),
                     [](const PortUse& use) { return use.can_run_out() && use.usage() >= kExhausted; });
}

void NatJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  if (!evidence.nat) return;
  const AlertRule& rule = rules[AlertKind::kNatPortsNearlyExhausted];
  for (const PortUse& use : evidence.nat->uses) {
    const double usage = use.lasting_usage();
    if (!use.can_run_out() || rule.Quiet(usage)) continue;
    std::vector<std::pair<std::int64_t, std::string>> holders;
    for (const PortUse::Holder& holder : use.holders) {
      const Prefix group{holder.source, static_cast<std::uint8_t>(evidence.grouping.Of(holder.source.family))};
      holders.emplace_back(static_cast<std::int64_t>(holder.connections), group.ToString());
    }
    const std::string most = FirstOf(holders);
    std::string description = fmt::format(
        "{}: {} of the {} ports from {} to {} are in use ({}){}; when none is left, new connections are lost. Most are "
        "held by: {}.",
        NameOf(use), use.used - use.closed, use.available(), use.ports.first, use.ports.last, Percent(usage),
        use.closed > 0 ? fmt::format(", and {} of connections that have ended", use.closed) : "", most);
    into.push_back({{AlertKind::kNatPortsNearlyExhausted, {}, NameOf(use)},
                    usage,
                    std::move(description),
                    {{"used", static_cast<double>(use.used)},
                     {"closed", static_cast<double>(use.closed)},
                     {"available", static_cast<double>(use.available())},
                     {"sources", static_cast<double>(use.sources)},
                     {"most", most}}});
  }
}

}  // namespace conntally
