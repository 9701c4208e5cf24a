// Walks the traffic in question through the rules: which rule stops it, and where it is sent.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "daemon/diagnose/facts/refusal.h"
#include "daemon/diagnose/rules/stopped/stop_findings.h"
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

// The decision that stops it as far as is known; else the one that stops it unless an earlier rule accepts this source.
const Decision* Deciding(const Walk& walk) {
  if (const Decision* stop = walk.stop()) return stop;
  if (walk.stops.empty() || !walk.stops.back().takes_all_that_comes()) return nullptr;
  return &walk.stops.back();
}

// Whether the rule, or a jump to it, asks for this packet's value of that kind.
bool Names(const RuleCase& rules, const Decision& stop, RuleCondition::Kind kind, const Packet& packet) {
  if (!stop.rule) return false;
  const ConditionMatcher matcher(rules.inputs.after);
  std::vector<RuleRef> refs = stop.jumps;
  refs.push_back(*stop.rule);
  return std::ranges::any_of(refs, [&](const RuleRef ref) {
    const Rule& rule = rules.walker.rule(ref);
    return std::ranges::any_of(rule.conditions, [&](const RuleCondition& condition) {
      return condition.kind == kind && !condition.negated &&
             matcher.Condition(rule, condition, packet).match == Match::kYes;
    });
  });
}

// A rule about this source, if the question names nothing else; it may also test a port.
const Decision* NamingTheSource(const RuleCase& rules, const Walk& walk, const Packet& packet) {
  if (!packet.source) return nullptr;
  const auto named = std::ranges::find_if(
      walk.stops, [&](const Decision& stop) { return Names(rules, stop, RuleCondition::Kind::kSource, packet); });
  return named == walk.stops.end() ? nullptr : &*named;
}

// Which other packets of the question certainly pass. Traffic that only passes over IPv6 is closed to most clients.
enum class Others : std::uint8_t { kNonePass, kOfOtherFamilyPass, kOfFamilyPass };

Others OthersOf(const std::vector<AskedPacket>& asked, const std::vector<Walk>& walks, std::size_t at) {
  Others others = Others::kNonePass;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (walks[i].passes != Match::kYes) continue;
    const bool as_good = asked[i].packet.family == asked[at].packet.family || asked[i].packet.family == Family::kIpv4;
    others = std::max(others, as_good ? Others::kOfFamilyPass : Others::kOfOtherFamilyPass);
  }
  return others;
}

// Reports what stops one packet of the question.
void TellOne(const RuleCase& rules, const AskedPacket& asked, const Walk& walk, bool only_one, Others others,
             Report& report) {
  const Question& question = rules.inputs.question;
  // A question about a port alone covers all families and links; a policy that closes it for some of them does its
  // work.
  if (others == Others::kOfFamilyPass && !walk.stops.empty() && !walk.stops.back().rule) {
    if (asked.packet.in && !asked.packet.in->name.empty())
      report.not_checked.push_back(
          {"whether it comes by " + asked.packet.in->name,
           "a policy stops it there, and not elsewhere; --source tells by which link it comes"});
    return;
  }
  const bool forwarding_is_off = walk.forwarded && !rules.Forwards(asked.packet.family);
  double scale = (forwarding_is_off ? 0.6 : 1) * (others == Others::kNonePass ? 1 : 0.6);
  if (!only_one && !question.source && !asked.leaves)
    scale *= question.destination ? 0.7 : 0.95;  // the source is not given
  if (const Decision* stop = Deciding(walk)) {
    const bool whole = walk.passes == Match::kNo;
    const bool grows = (stop->rule ? rules.Growth(*stop->rule) : rules.PolicyGrowth(stop->base)) > 0;
    const bool rewritten = walk.destination_nat_open || walk.source_nat_open;  // to what is not known
    if (!whole && !grows && (rewritten || MostLikelyPasses(rules, walk))) return;
    // A policy that drops loosely specified traffic is normal for a firewall.
    const bool says_little = !question.destination_port && !question.protocol;
    if (says_little && !whole) {
      if (const Decision* named = NamingTheSource(rules, walk, asked.packet))
        AddStopped(rules, walk, *named, asked, 0.75, report);
      return;
    }
    const double in_doubt = MayPassUncounted(rules, walk) ? 0.4 : question.source ? 0.6 : 0.5;
    AddStopped(rules, walk, *stop, asked, (whole ? 0.98 : in_doubt) * scale, report);
    return;
  }
  if (const Decision* named = NamingTheSource(rules, walk, asked.packet)) {
    const bool grows = named->rule && rules.Growth(*named->rule) > 0;
    AddStopped(rules, walk, *named, asked, (grows ? 0.9 : 0.75) * scale, report);
    return;
  }
  // Possibly stopped by rules that are not understood: they are suspects if they stop something meanwhile, and this is
  // seen to fail or they name it.
  const bool may_fail = MayFailHere(rules);
  for (const Decision& stop : walk.stops) {
    const std::uint64_t growth = stop.rule ? rules.Growth(*stop.rule) : 0;
    if (growth > 0 && (may_fail || Names(rules, stop, RuleCondition::Kind::kSource, asked.packet) ||
                       Names(rules, stop, RuleCondition::Kind::kDestinationPort, asked.packet)))
      AddStopped(rules, walk, stop, asked, std::max(CertaintyOfGrowth(rules, growth), 0.5) * scale, report);
  }
}

std::optional<TranslatedTo> TranslatedBy(const RuleCase& rules, const Walk& walk) {
  const Packet& packet = walk.packet;
  if (!walk.forwarded || !walk.destination_nat || walk.destination_nat_open || !packet.destination) return {};
  auto route = rules.inputs.find_route({*packet.destination});
  if (!route) return {};
  TranslatedTo to{*packet.destination, {}, *std::move(route), rules.commands.Place(*walk.destination_nat)};
  const auto& port = packet.destination_port;
  if (port && port->first == port->last) to.port = static_cast<std::uint16_t>(port->first);
  return to;
}

std::optional<MarkedRoute> MarkedRouteOf(const RuleCase& rules, const Walk& walk) {
  const Packet& packet = walk.packet;
  if (!walk.forwarded || packet.mark.value_or(0) == 0 || !packet.destination || !packet.source || !packet.in) return {};
  const RouteQuestion question{*packet.destination, packet.source, packet.in->index, *packet.mark};
  auto route = rules.inputs.find_route(question);
  if (!route) return {};
  // The kernel refuses an arriving packet by policy with the same error as one with an invalid source.
  if (route->kind == Route::Kind::kFiltered && FindRefusal(rules.inputs.host, question))
    route->kind = Route::Kind::kUnreachable;
  return MarkedRoute{question, *route};
}

}  // namespace

RuleOutcome CheckAskedTraffic(const RuleCase& rules, Report& report) {
  RuleOutcome outcome;
  const std::vector<AskedPacket> asked = rules.Asked();
  std::vector<Walk> walks;
  for (const AskedPacket& one : asked) walks.push_back(rules.Through(one));
  const bool says_who = rules.inputs.question.source || rules.inputs.question.destination;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const AskedPacket& one = asked[i];
    const Walk& walk = walks[i];
    outcome.passes = Both(outcome.passes, walk.passes);
    if (walk.destination_nat || walk.destination_nat_open) {
      outcome.destination_translated = true;
      outcome.sent_elsewhere = outcome.sent_elsewhere || walk.forwarded;
      if (auto target = TranslatedBy(rules, walk)) outcome.translated_to = std::move(target);
      const std::optional<NumberRange>& port = walk.packet.destination_port;
      const bool to_here =
          walk.destination_nat && walk.packet.destination_is_local == true && port && port->first == port->last;
      if (to_here && walk.passes == Match::kYes) {
        outcome.redirected_to = static_cast<std::uint16_t>(port->first);
        outcome.redirected_address = walk.packet.destination;
      }
    }
    if (walk.passes != Match::kNo) outcome.marked_route = MarkedRouteOf(rules, walk);
    if (walk.passes == Match::kYes && walk.destination_nat_open)
      report.not_checked.push_back({"where it is translated to", "more than was asked decides it, or chance"});
    outcome.way_open = outcome.way_open || walk.open || !walk.packet.mark;
    TellOne(rules, one, walk, asked.size() == 1,
            says_who || walk.passes == Match::kYes ? Others::kNonePass : OthersOf(asked, walks, i), report);
    const std::string by = one.packet.in && !one.packet.in->name.empty() ? " by " + one.packet.in->name : "";
    report.checked.push_back(fmt::format("the rules, in order, for {}{}: {} ({})", Traffic(one.packet), by,
                                         walk.passes == Match::kYes ? "they let it pass"
                                         : walk.passes == Match::kNo
                                             ? "they stop it"
                                             : "they stop some of it, or what they ask is not known",
                                         walk.path.empty() ? "there are none" : WayThrough(rules, walk)));
    if (walk.passes != Match::kMaybe) continue;
    for (const Unevaluated& open : walk.unevaluated) {
      const std::uint64_t packets = rules.Packets(open.rule).value_or(0);
      report.not_checked.push_back({rules.commands.Place(open.rule),
                                    open.why + (packets > 0 ? fmt::format("; it took {} packets", packets) : "")});
    }
    if (walk.cut_short) report.not_checked.push_back({"all rules", "there are too many ways through them"});
  }
  return outcome;
}

}  // namespace conntally::diagnose
