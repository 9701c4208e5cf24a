#include "daemon/diagnose/rules/fix_trial.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "daemon/diagnose/rules/connections/answers.h"

namespace conntally::diagnose {
namespace {

constexpr int kMoreRulesMax = 4;  // that stop the same traffic, one after the other

// Identifies a rule or policy across readings: indexes shift with each edit.
using Blamed = std::tuple<RuleBackend, RuleFamily, std::string, std::string, std::uint64_t, std::string>;
Blamed BlamedOf(const PacketWalker& walker, const Decision& stop) {
  if (!stop.rule) {
    const RuleChain& chain = walker.chain(stop.base);
    return {chain.backend, chain.family, chain.table, chain.name, 0, "policy"};
  }
  const Rule& rule = walker.rule(*stop.rule);
  return {rule.backend, rule.family, rule.table, rule.chain, rule.handle, rule.text};
}

class Trial {
 public:
  Trial(const RuleCase& rules, const Finding& finding) : rules_(rules), finding_(finding) {}

  // The fix with any further rules that it needs; an error says why it does not work.
  Result<Fix> Try(Fix fix) {
    Apply(fix.edits);
    for (const Cure& cure : finding_.cures) {
      const Walk before = rules_.Through(rules_.walker, cure.packet, cure.limits);
      if (const Decision* stop = before.stop()) blamed_.push_back(BlamedOf(rules_.walker, *stop));
      for (const Decision& stop : before.stops) blamed_.push_back(BlamedOf(rules_.walker, stop));
    }
    // Without the ban, the other rules decide, as for all others.
    const bool lifts = !fix.edits.empty() && fix.edits.front().kind == RuleEdit::Kind::kDelete;
    for (int round = 0;; ++round) {
      const auto stopped = FindStopped();
      if (!stopped) break;
      if (stopped->walk.stop() == nullptr) return Error{WhyNotTold(stopped->walk)};
      if (lifts) return Error{"the rules behind it stop it, too"};
      if (round == kMoreRulesMax) return Error{"too many rules stop it, one behind the other"};
      if (const auto added = Add(*stopped, fix); !added) return added.error();
    }
    if (PassesOver()) return Error{"it would pass over rules behind it, which translate or mark the packet"};
    if (const auto other = FindOther()) return Error{"it would let through more than that: " + *other};
    return fix;
  }

 private:
  struct Stopped {
    Walk walk;
    bool answers = false;
  };

  const PacketWalker& walker() const { return now_ ? now_->walker : rules_.walker; }

  void Apply(const std::vector<RuleEdit>& edits) {
    for (const RuleEdit& edit : edits)
      now_ = std::make_unique<TriedRules>(Edited(now_ ? now_->reading : rules_.inputs.after, edit));
  }

  bool IsStopped(const Walk& walk, const Cure& cure) const {
    const Packet& packet = cure.packet.packet;
    const bool has_ports = packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP;
    const bool whole = packet.protocol && (!has_ports || packet.destination_port);
    // Assume that other limits are not reached.
    const Decision* stop = walk.stop();
    const bool by_other_limit =
        cure.limits == Limits::kReached && stop != nullptr && stop->rule && !walker().rule(*stop->rule).limits.empty();
    return !by_other_limit && (whole ? walk.passes != Match::kYes : walk.passes == Match::kNo);
  }

  std::optional<Stopped> FindStopped() const {
    for (const Cure& cure : finding_.cures) {
      Walk walk = rules_.Through(walker(), cure.packet, cure.limits);
      if (IsStopped(walk, cure)) return Stopped{std::move(walk), false};
      const bool first = cure.packet.packet.state == kStateNew;
      const bool to_itself = cure.packet.leaves && walk.packet.destination_is_local == true;
      if (!first || to_itself) continue;
      Walk back = rules_.Through(walker(), AnswerTo(cure.packet, walk), cure.limits);
      if (back.passes != Match::kYes) return Stopped{std::move(back), true};
    }
    return std::nullopt;
  }

  // Adds an accept for the packet that the next rule stops.
  Status Add(const Stopped& stopped, Fix& fix) {
    const Decision& stop = *stopped.walk.stop();
    const FirewallCommands commands = rules_.commands.On(walker());
    auto more = stopped.answers ? commands.AcceptAnswersTo(stop, stopped.walk.packet)
                                : commands.Accept(stop, stopped.walk.packet);
    const std::string place = stop.rule ? commands.Place(*stop.rule) : commands.Place(walker().chain(stop.base));
    if (!more) {
      return Error{fmt::format("{} {}, and {}", stopped.answers ? "its answers are stopped by" : "it is stopped by",
                               place, more.error().message)};
    }
    if (more->edits.empty() || fix.edits.empty()) return Error{"it is stopped by " + place + ", too"};
    blamed_.push_back(BlamedOf(walker(), stop));
    fix.command += " && " + more->command;
    fix.undo = more->undo + "; " + fix.undo;
    fix.risk += (stopped.answers ? "; for the answers: " : "; past the next rule: ") + more->risk;
    fix.edits.insert(fix.edits.end(), more->edits.begin(), more->edits.end());
    Apply(more->edits);
    return Ok();
  }

  std::string WhyNotTold(const Walk& walk) const {
    if (walk.cut_short) return "there are too many ways through the rules";
    for (const Unevaluated& open : walk.unevaluated)
      return fmt::format("what rule {} of chain {} does with it is not known ({})",
                         walker().rule(open.rule).position + 1, walker().rule(open.rule).chain, open.why);
    return "what the rules do with it is not known";
  }

  // Whether the packet leaves in another way than it would without the rules that stop it: an accept also ends what
  // stands behind it in its chain.
  bool PassesOver() const {
    FirewallReading reading = rules_.inputs.after;
    for (const Blamed& blamed : blamed_) {
      for (auto& [backend, one] : reading.backends) {
        if (!one.ruleset) continue;
        const auto& all = one.ruleset->rules;
        const auto found = std::find_if(all.begin(), all.end(), [&](const Rule& rule) {
          return Blamed{rule.backend, rule.family, rule.table, rule.chain, rule.handle, rule.text} == blamed;
        });
        if (found == all.end()) continue;
        const auto& chains = one.ruleset->chains;
        const auto chain = std::find_if(chains.begin(), chains.end(), [&](const RuleChain& each) {
          return each.family == found->family && each.table == found->table && each.name == found->chain;
        });
        if (chain == chains.end()) continue;
        RuleEdit removal;
        removal.kind = RuleEdit::Kind::kDelete;
        removal.chain = {backend, static_cast<std::size_t>(chain - chains.begin())};
        removal.at = {backend, static_cast<std::size_t>(found - all.begin())};
        reading = Edited(reading, removal);
        break;
      }
    }
    const TriedRules without(std::move(reading));
    return std::any_of(finding_.cures.begin(), finding_.cures.end(), [&](const Cure& cure) {
      const Walk wanted = rules_.Through(without.walker, cure.packet, cure.limits);
      const Walk walk = rules_.Through(walker(), cure.packet, cure.limits);
      return wanted.passes == Match::kYes &&
             (wanted.packet.destination != walk.packet.destination ||
              wanted.packet.destination_port != walk.packet.destination_port ||
              wanted.packet.source != walk.packet.source || wanted.packet.mark != walk.packet.mark);
    });
  }

  // Packets that differ from the one that is to pass in one thing each.
  std::vector<std::pair<AskedPacket, const char*>> OthersLike(const AskedPacket& asked) const {
    std::vector<std::pair<AskedPacket, const char*>> others;
    const auto other = [&](const char* what) -> Packet& {
      others.emplace_back(asked, what);
      return others.back().first.packet;
    };
    const auto beside = [](IpAddress address) {
      address.bytes[address.family == Family::kIpv4 ? 3 : 15] ^= 1;
      return address;
    };
    const Packet& packet = asked.packet;
    if (packet.source && packet.state == kStateNew && !asked.leaves) other("of others").source = beside(*packet.source);
    if (packet.destination_port && packet.destination_port->first == packet.destination_port->last) {
      const std::uint32_t port = packet.destination_port->first ^ 1;
      other("to other ports").destination_port = NumberRange{port, port};
    }
    if (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP)
      other("of another protocol").protocol = *packet.protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
    if (packet.destination && packet.destination_is_local == false && packet.state == kStateNew)
      other("to other hosts").destination = beside(*packet.destination);
    if (packet.state != kStateNew) other("that open connections").state = kStateNew;
    if (packet.state == kStateNew) other("that conntrack finds invalid").state = kStateInvalid;
    return others;
  }

  // Other traffic that would now pass: traffic that a rule other than the blamed one stopped, or of another source.
  std::optional<std::string> FindOther() const {
    for (const Cure& cure : finding_.cures) {
      for (const auto& [other, what] : OthersLike(cure.packet)) {
        const Walk before = rules_.Through(rules_.walker, other, cure.limits);
        const Decision* stop = before.stop();
        if (stop == nullptr || rules_.Through(walker(), other, cure.limits).passes == Match::kNo) continue;
        const bool is_blamed =
            std::find(blamed_.begin(), blamed_.end(), BlamedOf(rules_.walker, *stop)) != blamed_.end();
        // Behind source NAT, no rule can distinguish clients by their addresses.
        const bool of_another = other.packet.source != cure.packet.packet.source && !before.source_nat;
        if (!is_blamed || of_another) return std::string("packets ") + what;
      }
    }
    return std::nullopt;
  }

  const RuleCase& rules_;
  const Finding& finding_;
  std::unique_ptr<TriedRules> now_;  // with the edits; null: none yet
  std::vector<Blamed> blamed_;
};

}  // namespace

void TryFixes(const RuleCase& rules, Report& report) {
  for (Finding& finding : report.findings) {
    if (finding.cures.empty()) continue;
    std::vector<Fix> kept;
    std::string why;
    for (Fix& fix : finding.fix) {
      if (fix.edits.empty()) {  // an owner's own command, which cannot be tried
        kept.push_back(std::move(fix));
        continue;
      }
      auto tried = Trial(rules, finding).Try(fix);
      if (tried) {
        kept.push_back(*std::move(tried));
      } else if (why.empty()) {
        why = tried.error().message;
      }
    }
    finding.fix = std::move(kept);
    if (finding.fix.empty() && !why.empty() && finding.decide.empty())
      finding.decide = "how to let it through; no command is offered, since none that was tried works: " + why;
  }
}

}  // namespace conntally::diagnose
