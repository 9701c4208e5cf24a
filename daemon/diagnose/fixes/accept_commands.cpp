// The commands that accept packets: where they put the rule, and its text.
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "collectors/rules/walk/chain_graph.h"
#include "daemon/diagnose/fixes/accept_rule.h"
#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

using Kind = RuleCondition::Kind;

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kFinRstAck = 0x15;
constexpr std::size_t kGotosMax = 16;  // NFT_JUMP_STACK_SIZE

std::string NftChain(const RuleChain& chain) {
  return fmt::format("{} {} {}", NameOf(chain.family), chain.table, chain.name);
}

std::string Joined(const std::string& text, const std::string& verdict) {
  return text.empty() ? verdict : text + " " + verdict;
}

// nft deletes only by handle, which a future rule does not have yet. So it is found by a comment: other rules may end
// in the same text, and nft lists masks, negations and sets differently from how they were typed.
std::string DeleteByComment(const std::string& chain, const std::string& comment) {
  return fmt::format("nft delete rule {0} handle $(nft -a list chain {0} | grep -m1 -F {1} | sed 's/.*# handle //')",
                     chain, ShellWord(comment + " # handle"));
}

// The verdict that the rule has for this packet, with the chain that it leads to.
struct Ends {
  Verdict verdict = Verdict::kContinue;
  std::string target;
};
Ends RuleEnds(const Rule& rule, const Packet& packet, const ConditionMatcher& matcher) {
  for (const MappedVerdict& mapped : rule.map) {
    if (matcher.Key(rule, mapped, packet).match == Match::kYes) return {mapped.verdict, mapped.jump_target};
  }
  if (!rule.map.empty()) return {};
  return {rule.verdict, rule.jump_target};
}

RuleCondition StateOf(const Packet& packet) {
  RuleCondition state;
  state.kind = Kind::kConntrackState;
  state.numbers = {{packet.state, packet.state}};
  return state;
}

RuleCondition ToAddress(const IpAddress& destination) {
  RuleCondition to;
  to.kind = Kind::kDestination;
  to.addresses = {{destination, destination}};
  return to;
}

RuleCondition IsSyn() {
  RuleCondition syn;
  syn.kind = Kind::kTcpFlags;
  syn.numbers = {{kSyn, kSyn | kFinRstAck}};
  return syn;
}

bool HasNftName(const RuleChain& chain) { return IsNftName(chain.table) && IsNftName(chain.name); }

// Whether the rule is only for this source: without it, the source is treated like all others.
bool IsAboutAlone(const Rule& rule, const std::optional<IpAddress>& source) {
  if (!source || !rule.map.empty()) return false;
  return std::any_of(rule.conditions.begin(), rule.conditions.end(), [&](const RuleCondition& each) {
    return each.kind == Kind::kSource && !each.negated && each.set.empty() && each.addresses.size() == 1 &&
           each.addresses[0] == AddressRange{*source, *source};
  });
}

}  // namespace

// A packet that leaves a base chain by RETURN goes to the policy at once, and one that left by GOTO does not return: it
// would not reach a rule at the end of the base chain.
Result<FirewallCommands::Spot> FirewallCommands::EndOf(const RuleChain& base, const Packet& packet) const {
  const RuleChain* chain = &base;
  for (std::size_t gotos = 0; gotos < kGotosMax; ++gotos) {
    const RuleChain* next = nullptr;
    for (std::size_t i = chain->first_rule; i < chain->first_rule + chain->rule_count && next == nullptr; ++i) {
      const RuleRef ref{chain->backend, i};
      const Rule& rule = walker_.rule(ref);
      const Ends ends = RuleEnds(rule, packet, matcher_);
      if (ends.verdict != Verdict::kReturn && ends.verdict != Verdict::kGoto) continue;
      const Match takes = matcher_.Conditions(rule, packet).match;
      if (takes == Match::kNo) continue;
      if (takes != Match::kYes || !rule.limits.empty())
        return Error{
            fmt::format("it may leave chain {} by rule {}, which is not known", chain->name, rule.position + 1)};
      if (ends.verdict == Verdict::kReturn) return Spot{chain, ref};
      next = walker_.ChainNamed(chain->backend, chain->family, chain->table, ends.target);
      if (next == nullptr) return Error{"chain " + ends.target + " is not known"};
      // A rule there sees all packets of the chain, also those from other rules and hooks.
      if (walker_.graph(next->backend).EntrancesOf(*next).size() > 1)
        return Error{"more than one rule leads to chain " + next->name + ", where it would have to be let through"};
    }
    if (next == nullptr) return Spot{chain, std::nullopt};
    chain = next;
  }
  return Error{"its way through the chains is too long"};
}

Result<FirewallCommands::Spot> FirewallCommands::SpotOf(const Decision& stop, const Packet& packet) const {
  if (!stop.rule) return EndOf(walker_.chain(stop.base), packet);
  const Rule& rule = walker_.rule(*stop.rule);
  const RuleChain* chain = walker_.ChainNamed(rule.backend, rule.family, rule.table, rule.chain);
  if (chain == nullptr) return Error{"chain " + rule.chain + " is not known"};
  return Spot{chain, stop.rule};
}

Fix FirewallCommands::PutText(const Spot& spot, const std::string& text, std::string risk) const {
  const RuleChain& chain = *spot.chain;
  Fix fix;
  fix.risk = std::move(risk);
  fix.persist = Persist(chain.backend, chain.family, chain.table);
  const std::string tool = ToolOf(chain.backend, chain.family, chain.table);
  if (tool != "nft") {
    const std::string name = tool + TableFlag(chain.table), where = ShellWord(chain.name);
    fix.command = spot.before
                      ? fmt::format("{} -I {} {} {}", name, where, walker_.rule(*spot.before).position + 1, text)
                      : fmt::format("{} -A {} {}", name, where, text);
    fix.undo = fmt::format("{} -D {} {}", name, where, text);
    return fix;
  }
  const std::string comment =
      fmt::format("comment \"by hand {:08x}\"", static_cast<std::uint32_t>(std::hash<std::string>()(text)));
  const std::string typed = text + " " + comment;
  fix.command = NftCommand(spot.before ? fmt::format("insert rule {} handle {} {}", NftChain(chain),
                                                     walker_.rule(*spot.before).handle, typed)
                                       : fmt::format("add rule {} {}", NftChain(chain), typed));
  fix.undo = DeleteByComment(NftChain(chain), comment);
  return fix;
}

Result<Fix> FirewallCommands::Put(const Spot& spot, const std::vector<RuleCondition>& conditions, Family family,
                                  std::string risk) const {
  const bool by_nft = ToolOf(spot.chain->backend, spot.chain->family, spot.chain->table) == "nft";
  if (by_nft && !HasNftName(*spot.chain)) return Error{"nft has no words for the name of its chain"};
  const auto text = by_nft ? AttributeText(conditions, family) : IptablesText(conditions, family);
  if (!text) return text.error();
  Fix fix = PutText(spot, Joined(*text, by_nft ? "accept" : "-j ACCEPT"), std::move(risk));
  fix.edits.push_back(EditAt(spot, *text, conditions));
  return fix;
}

RuleEdit FirewallCommands::EditAt(const Spot& spot, const std::string& text,
                                  std::vector<RuleCondition> conditions) const {
  RuleEdit edit;
  edit.kind = spot.before ? RuleEdit::Kind::kInsert : RuleEdit::Kind::kAppend;
  edit.chain = RefOf(*spot.chain);
  if (spot.before) edit.at = *spot.before;
  edit.rule.text = text;
  edit.rule.verdict = Verdict::kAccept;
  edit.rule.conditions = std::move(conditions);
  edit.rule.fully_understood = true;
  return edit;
}

Result<Fix> FirewallCommands::Accept(const Decision& stop, const Packet& packet) const {
  const auto spot = SpotOf(stop, packet);
  if (!spot) return spot.error();
  const AskedBy asked_by = RefOf(*spot->chain) == stop.base ? AskedBy::kItsHook : AskedBy::kSeveral;
  const auto conditions = AcceptOfPacket(walker_.chain(stop.base).hook, RuleAt(*spot), packet, matcher_, asked_by);
  if (!conditions) return conditions.error();
  // The policy decides, although a rule leads there: the new rule must be as narrow as without that rule.
  if (!stop.rule && spot->before) {
    if (const auto alone = AcceptOfPacket(walker_.chain(stop.base).hook, nullptr, packet, matcher_); !alone)
      return alone.error();
  }
  const std::string whose = packet.source ? "accepts such packets from " + packet.source->ToString()
                                          : "accepts such packets of this host's own";
  return Put(*spot, *conditions, packet.family, whose + " ahead of all later rules");
}

Result<Fix> FirewallCommands::AcceptAnswers(const Decision& stop, const Packet& packet) const {
  const RuleChain& base = walker_.chain(stop.base);
  if (base.family == RuleFamily::kNetdev) return Accept(stop, packet);  // device chains have no connection state
  const auto spot = SpotOf(stop, packet);
  if (!spot) return spot.error();
  const auto conditions = AcceptOfAnswers(base.hook, RuleAt(*spot), packet, matcher_);
  if (!conditions) return conditions.error();
  return Put(*spot, *conditions, packet.family,
             "accepts packets of connections that were accepted before; no new ones");
}

Result<Fix> FirewallCommands::AcceptAnswersTo(const Decision& stop, const Packet& packet) const {
  const RuleChain& base = walker_.chain(stop.base);
  if (base.family == RuleFamily::kNetdev) return Accept(stop, packet);
  const auto spot = SpotOf(stop, packet);
  if (!spot) return spot.error();
  Rule asked;
  if (const Rule* rule = RuleAt(*spot)) asked = *rule;
  if (!spot->before) asked.fully_understood = true;
  asked.conditions.push_back(StateOf(packet));
  const auto conditions = AcceptOfPacket(base.hook, &asked, packet, matcher_);
  if (!conditions) return conditions.error();
  return Put(*spot, *conditions, packet.family, "accepts packets of such connections, which were accepted before");
}

Result<Fix> FirewallCommands::AcceptBeyondLimit(const Decision& limit, const Packet& packet) const {
  const auto spot = SpotOf(limit, packet);
  if (!spot) return spot.error();
  Rule unlimited = walker_.rule(*limit.rule);
  unlimited.limits.clear();
  // Later rules were checked only for such a packet, not for other states, flags or destinations.
  unlimited.conditions.push_back(StateOf(packet));
  if (packet.destination) unlimited.conditions.push_back(ToAddress(*packet.destination));
  if (packet.protocol == IPPROTO_TCP && packet.tcp_flags == kSyn) unlimited.conditions.push_back(IsSyn());
  const auto conditions = AcceptOfPacket(walker_.chain(limit.base).hook, &unlimited, packet, matcher_);
  if (!conditions) return conditions.error();
  return Put(*spot, *conditions, packet.family,
             "the limit no longer holds for " + (packet.source ? packet.source->ToString() : std::string("this host")));
}

Result<Fix> FirewallCommands::Masquerade(const RuleChain& chain, const Packet& packet, const std::string& out,
                                         std::string risk) const {
  const bool by_nft = ToolOf(chain.backend, chain.family, chain.table) == "nft";
  if (!CanNameLink(out) || (by_nft && !HasNftName(chain)))
    return Error{"there are no words for the name of the link or of the chain"};
  const auto conditions = OfLeaving(packet, out);
  const auto text = by_nft ? AttributeText(conditions, packet.family) : IptablesText(conditions, packet.family);
  if (!text) return text.error();
  // In front: a rule of the chain may end it for such packets.
  const auto first = chain.rule_count == 0 ? std::nullopt : std::optional(RuleRef{chain.backend, chain.first_rule});
  return PutText({&chain, first}, *text + (by_nft ? " masquerade" : " -j MASQUERADE"), std::move(risk));
}

void FirewallCommands::LetThrough(const Decision& stop, const Packet& packet, Finding& finding) const {
  const RuleChain& base = walker_.chain(stop.base);
  const Rule* rule = stop.rule ? &walker_.rule(*stop.rule) : nullptr;
  const std::string owner =
      OwnerOf(walker_.snapshot(), base.backend, base.family, base.table, rule != nullptr ? rule->chain : base.name);
  if (rule != nullptr && RefusesWhatNobodyServes(*rule)) {
    finding.decide =
        "which pods are to serve it: kube-proxy refuses what has no endpoint, and whoever accepts it sends it nowhere "
        "(`kubectl get endpointslices -A`)";
    return;
  }
  const std::string by_hand =
      owner.empty() ? "" : "; " + owner + " owns these rules, and undoes what a hand changes when it next writes them";
  std::vector<Fix> fixes = ByOwner(owner, stop, packet);
  auto accept = Accept(stop, packet);
  if (accept) {
    accept->risk += by_hand;
    fixes.push_back(*accept);
  }
  if (rule != nullptr && IsAboutAlone(*rule, packet.source)) {
    auto gone = Delete(*stop.rule,
                       packet.source->ToString() + " goes on to the rules behind it, as everybody else does" + by_hand);
    // If no protocol is known, nothing narrower is possible, and later rules then decide.
    if (gone) fixes.insert(packet.protocol ? fixes.end() : fixes.begin(), *std::move(gone));
  }
  if (fixes.empty()) {
    finding.decide = fmt::format("who may pass {}; no command is offered for that: {}",
                                 rule != nullptr ? fmt::format("rule {} of chain {}", rule->position + 1, rule->chain)
                                                 : "the policy of chain " + base.name,
                                 accept ? std::string() : accept.error().message);
    if (!packet.source)
      finding.decide += "; ask about the one who fails (--source, --dport), or watch it fail (--observe 10s)";
  }
  finding.fix.insert(finding.fix.end(), fixes.begin(), fixes.end());
}

}  // namespace conntally::diagnose
