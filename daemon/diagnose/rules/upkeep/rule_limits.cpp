// Limits that rules put upon a source, and sources that are at them. The kernel does not tell its counts, so
// connections are counted here, as the rule would (net/netfilter/nf_conncount.c: those that are over are not counted);
// of rates only the rule's own counter is seen.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/diagnose/rules/stopped/stopped_traffic.h"
#include "daemon/diagnose/rules/upkeep/upkeep_findings.h"

namespace conntally::diagnose {
namespace {

using Kind = RuleCondition::Kind;
constexpr std::size_t kRulesMax = 64;
constexpr std::uint64_t kNearMin = 5;  // being near a limit of two means nothing

bool CountsConnections(const RuleLimit& limit) {
  return limit.kind == RuleLimit::Kind::kConnlimit || limit.kind == RuleLimit::Kind::kNftCtCount;
}

bool IsOver(const Connection& connection) {
  return connection.tcp_state == TcpState::kTimeWait || connection.tcp_state == TcpState::kClose;
}

// How many connections the rule counts for each source (or for each group that it counts together).
std::map<IpAddress, std::uint64_t> Counts(const RuleCase& rules, const Rule& rule, const RuleLimit& limit,
                                          const ConditionMatcher& matcher) {
  std::map<IpAddress, std::uint64_t> counts;
  if (!rules.inputs.host.connections) return counts;
  for (const Connection& connection : rules.inputs.host.connections->connections) {
    const bool of_family = rule.family == RuleFamily::kInet ||
                           (rule.family == RuleFamily::kIp) == (connection.key.family == Family::kIpv4);
    const IpAddress source = connection.key.SourceAddress();
    if (!of_family || IsOver(connection) || rules.inputs.host.IsLocal(source)) continue;
    Packet packet;
    packet.family = connection.key.family;
    packet.source = source;
    packet.destination = IpAddress{connection.key.destination, connection.key.family};
    packet.protocol = connection.key.protocol;
    packet.destination_port = NumberRange{connection.key.destination_port, connection.key.destination_port};
    const bool narrowed_away =
        std::any_of(rule.conditions.begin(), rule.conditions.end(), [&](const RuleCondition& condition) {
          const bool of_connection = condition.kind == Kind::kProtocol || condition.kind == Kind::kDestinationPort ||
                                     condition.kind == Kind::kSource || condition.kind == Kind::kDestination;
          return of_connection && matcher.Condition(rule, condition, packet).match == Match::kNo;
        });
    if (narrowed_away) continue;
    const unsigned prefix = source.family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix;
    ++counts[limit.per == RuleLimit::Per::kSource ? Masked(source, prefix) : IpAddress{}];
  }
  return counts;
}

class LimitCheck {
 public:
  LimitCheck(const RuleCase& rules, Report& report) : rules_(rules), report_(report), matcher_(rules.inputs.after) {}

  void Asked() { Of(rules_.Asked()); }

  void Everybody() {
    Of(rules_.SeenToFail());
    std::size_t looked_at = 0;
    for (const auto& [backend, one] : rules_.inputs.after.backends) {
      if (!one.ruleset) continue;
      for (std::size_t i = 0; i < one.ruleset->rules.size() && looked_at < kRulesMax; ++i) {
        const Rule& rule = one.ruleset->rules[i];
        if (rule.limits.empty() || !Decides(rule) || met_.contains({backend, i})) continue;
        ++looked_at;
        Connections({backend, i}, {}, false);
        if (rule.limits.front().matches_above) Rate({backend, i}, nullptr, {}, false);
      }
    }
  }

 private:
  void Of(const std::vector<AskedPacket>& all) {
    for (const AskedPacket& asked : all) {
      const Walk below = rules_.Through(asked), reached = rules_.Through(asked, Limits::kReached);
      if (below.passes == Match::kNo || reached.passes == Match::kYes) continue;  // the limits do not matter
      for (const RuleRef ref : reached.limited) {
        const Rule& rule = rules_.walker.rule(ref);
        if (!met_.insert(ref).second || !Decides(rule)) continue;
        const Decision* stop = reached.stop();
        Connections(ref, asked, true);
        Rate(ref, stop, asked, true);
      }
    }
  }

  // Limits on logging refuse nobody.
  static bool Decides(const Rule& rule) { return rule.verdict != Verdict::kLog && rule.verdict != Verdict::kContinue; }

  void Connections(RuleRef ref, const AskedPacket& asked, bool narrowed) {
    const Rule& rule = rules_.walker.rule(ref);
    for (const RuleLimit& limit : rule.limits) {
      if (!CountsConnections(limit) || limit.connections == 0 || limit.per == RuleLimit::Per::kOther ||
          limit.per == RuleLimit::Per::kDestination)
        continue;
      const auto counts = Counts(rules_, rule, limit, matcher_);
      const std::pair<const IpAddress, std::uint64_t>* worst = nullptr;
      for (const auto& each : counts) {
        const unsigned prefix = each.first.family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix;
        const bool other = limit.per == RuleLimit::Per::kSource && asked.packet.source &&
                           Masked(*asked.packet.source, prefix) != each.first;
        if (!other && (worst == nullptr || each.second > worst->second)) worst = &each;
      }
      if (worst == nullptr) continue;
      const bool at = worst->second >= limit.connections;
      const bool near = worst->second >= kNearMin &&
                        static_cast<double>(worst->second) >= 0.8 * static_cast<double>(limit.connections);
      if (!at && !near) continue;
      const unsigned prefix = worst->first.family == Family::kIpv4 ? limit.ipv4_prefix : limit.ipv6_prefix;
      const bool one = prefix == AddressBits(worst->first.family);
      const std::string who = limit.per != RuleLimit::Per::kSource ? "all sources together"
                              : one                                ? worst->first.ToString()
                                    : fmt::format("{}/{}", worst->first.ToString(), prefix);
      const double surely = narrowed && asked.packet.source ? 0.97 : rules_.Growth(ref) > 0 ? 0.9 : 0.75;
      Finding finding = Begin(ref, at ? surely : surely * 0.5);
      finding.title = fmt::format("{} {} the limit of {} connections that rule {} of chain {} sets", who,
                                  at ? "is at" : "is near", limit.connections, rule.position + 1, rule.chain);
      finding.evidence.push_back(
          fmt::format("{} of its connections are counted now, {} are allowed", worst->second, limit.connections));
      finding.cause = at ? "every further connection is refused until one of those ends; those that are open go on"
                         : "a few more connections, and further ones are refused";
      Exempt(ref, limit.per == RuleLimit::Per::kSource && !asked.packet.source ? Holder(rule, worst->first) : asked,
             finding);
      report_.findings.push_back(std::move(finding));
    }
  }

  // The rule's counter shows the packets beyond a rate; if the rule accepts within the rate, the counter of what stops
  // the others does.
  void Rate(RuleRef ref, const Decision* stop, const AskedPacket& asked, bool narrowed) {
    const Rule& rule = rules_.walker.rule(ref);
    const auto rate = std::find_if(rule.limits.begin(), rule.limits.end(),
                                   [](const RuleLimit& limit) { return !CountsConnections(limit); });
    if (rate == rule.limits.end() && !narrowed) return;
    const bool above = rule.limits.front().matches_above;
    std::uint64_t growth = 0, packets = 0;
    if (above) {
      if (rule.verdict != Verdict::kDrop && rule.verdict != Verdict::kReject) return;
      growth = rules_.Growth(ref);
      packets = rules_.Packets(ref).value_or(0);
    } else if (stop != nullptr) {
      growth = stop->rule ? rules_.Growth(*stop->rule) : rules_.PolicyGrowth(stop->base);
      packets = stop->rule ? rules_.Packets(*stop->rule).value_or(0) : rules_.PolicyPackets(stop->base).value_or(0);
      // A policy's other drops are not due to the limit.
      if (!stop->rule) packets = 0;
    }
    const bool told = std::any_of(report_.findings.begin(), report_.findings.end(), [&](const Finding& each) {
      return each.id == FindingId::kSourceAtLimit && each.rule == ref;
    });
    if (told) return;
    const bool counts =
        above ? rules_.Packets(ref).has_value()
              : stop != nullptr &&
                    (stop->rule ? rules_.Packets(*stop->rule) : rules_.PolicyPackets(stop->base)).has_value();
    // Nothing counts packets beyond it, but some that the other rules accept are seen failing on the wire.
    if (!counts && narrowed) return Uncounted(ref, stop, asked);
    // The sources at a limit of connections are known: earlier stops were of others.
    const bool counted_apart = rate == rule.limits.end() && asked.packet.source;
    if (growth == 0 && (!narrowed || packets == 0 || counted_apart)) return;
    Finding finding = Begin(ref, growth > 0 ? (narrowed ? 0.93 : 0.75) : 0.5);
    const std::string what =
        rate != rule.limits.end() && rate->rate_per_second > 0
            ? fmt::format("the limit of {:.3g} {}/s", rate->rate_per_second, rate->rate_of_bytes ? "bytes" : "packets")
            : "the limit";
    finding.title =
        fmt::format("Traffic is beyond {} that rule {} of chain {} sets", what, rule.position + 1, rule.chain);
    finding.evidence.push_back(
        fmt::format("{} packets were beyond it so far, {} of them during this observation", packets, growth));
    if (stop != nullptr && !above) finding.evidence.push_back("what is beyond it is stopped by " + rules_.Place(*stop));
    finding.cause = "what is beyond the limit is stopped, and what is within passes: it works sometimes";
    Exempt(ref, asked, finding);
    report_.findings.push_back(std::move(finding));
  }

  void Uncounted(RuleRef ref, const Decision* stop, const AskedPacket& asked) {
    const std::vector<AskedPacket> failing = rules_.SeenToFail();
    if (failing.empty()) {
      report_.not_checked.push_back({rules_.commands.Place(ref),
                                     "no rule counts what is beyond its limit: --observe 10s, while it fails, tells"});
      return;
    }
    const Rule& rule = rules_.walker.rule(ref);
    Finding finding = Begin(ref, 0.75);
    finding.title =
        fmt::format("Traffic is beyond the limit that rule {} of chain {} sets", rule.position + 1, rule.chain);
    finding.evidence.push_back("no rule counts what is beyond it; on the wire " + Traffic(failing.front().packet) +
                               " was seen to fail, which all other rules let pass");
    if (stop != nullptr) finding.evidence.push_back("what is beyond it is stopped by " + rules_.Place(*stop));
    finding.cause = "what is beyond the limit is stopped, and what is within passes: it works sometimes";
    Exempt(ref, asked, finding);
    report_.findings.push_back(std::move(finding));
  }

  // A first packet, of the source that holds the most, that the rule matches.
  AskedPacket Holder(const Rule& rule, const IpAddress& source) const {
    AskedPacket asked;
    Packet& packet = asked.packet;
    packet = TakenBy(rule);
    packet.family = source.family;
    packet.source = source;
    packet.source_port = kClientPorts;
    packet.tcp_flags = 2;
    packet.source_is_local = false;
    packet.destination_is_local = true;
    const auto back = rules_.inputs.find_route({source, std::nullopt, 0});
    if (const Link* link = back ? rules_.inputs.host.LinkOf(back->link) : nullptr) packet.in = InterfaceOf(*link);
    return asked;
  }

  // Deleting the rule would end the limit for all. So exempt this source, if all later rules accept it too.
  void Exempt(RuleRef ref, const AskedPacket& asked, Finding& finding) const {
    const Rule& rule = rules_.walker.rule(ref);
    finding.decide = fmt::format("how much is enough: a higher limit in rule {} of chain {} holds for everybody",
                                 rule.position + 1, rule.chain);
    const auto base = rules_.BaseOf(rule);
    if (!base || rules_.Through(asked).passes != Match::kYes) return;
    auto accept = rules_.commands.AcceptBeyondLimit({rule.verdict, Match::kYes, {}, *base, ref, {}}, asked.packet);
    if (!accept) return;
    finding.fix.push_back(*std::move(accept));
    finding.cures = {{asked, Limits::kReached}};
  }

  Finding Begin(RuleRef ref, double certainty) {
    Finding finding;
    finding.id = FindingId::kSourceAtLimit;
    finding.rule = ref;
    finding.certainty = certainty;
    finding.evidence.push_back(rules_.commands.Place(ref));
    const Rule& rule = rules_.walker.rule(ref);
    const std::string owner = OwnerOf(rules_.inputs.after, rule.backend, rule.family, rule.table, rule.chain);
    if (!owner.empty())
      finding.evidence.push_back(owner + " writes these rules: change the limit with it, or it undoes the change");
    return finding;
  }

  const RuleCase& rules_;
  std::set<RuleRef> met_;  // on the path of the packets in question or seen
  Report& report_;
  const ConditionMatcher matcher_;
};

}  // namespace

void CheckRuleLimits(const RuleCase& rules, Report& report) {
  LimitCheck check(rules, report);
  if (rules.narrowed()) {
    check.Asked();
  } else {
    check.Everybody();
  }
  report.checked.push_back("limits that rules set, and who is at them");
}

}  // namespace conntally::diagnose
