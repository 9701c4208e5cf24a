#include "daemon/diagnose/rules/fix_trial.h"

#include <netinet/in.h>

#include <random>

#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/rules/asked_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

constexpr const char* kSources[] = {"192.0.2.6", "192.0.2.7", "192.0.2.8", "198.51.100.7"};
constexpr std::uint16_t kPorts[] = {22, 23, 80, 81};

// Rule sets of one base chain and two that it may lead to, of conditions that the packets below tell apart.
class RandomRules {
 public:
  explicit RandomRules(unsigned seed) : random_(seed) {}

  std::size_t Below(std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_); }
  bool Perhaps(double share) { return std::bernoulli_distribution(share)(random_); }

  Firewall Make() {
    Firewall firewall;
    firewall.Base("filter", "INPUT", "input", 0, Perhaps(0.6) ? Verdict::kDrop : Verdict::kAccept, Rules(0));
    firewall.Own("filter", "a", Rules(1)).Own("filter", "b", Rules(2));
    if (Perhaps(0.3)) {  // another table behind it may stop the same
      firewall.Base("late", "input", "input", 10, Perhaps(0.5) ? Verdict::kDrop : Verdict::kAccept, Rules(2));
    }
    return firewall;
  }

 private:
  std::vector<RuleCondition> Conditions() {
    std::vector<RuleCondition> conditions;
    const bool negated = Perhaps(0.2);
    if (Perhaps(0.4)) {
      const char* source = kSources[Below(4)];
      conditions.push_back(Perhaps(0.5) ? From(source, source, negated) : From("192.0.2.0", "192.0.2.255", negated));
    }
    if (Perhaps(0.5)) {
      conditions.push_back(Tcp());
      conditions.push_back(ToPort(kPorts[Below(4)]));
    }
    if (Perhaps(0.2)) conditions.push_back(State(Perhaps(0.5) ? kStateNew : kStateEstablished | kStateRelated));
    return conditions;
  }
  std::vector<BuiltRule> Rules(int chain) {
    std::vector<BuiltRule> rules;
    for (std::size_t i = Below(6); i > 0; --i) {
      const std::size_t what = Below(10);
      const char* next = chain == 0 && Perhaps(0.5) ? "a" : "b";
      BuiltRule rule = Does(what < 3 ? Verdict::kAccept : what < 6 ? Verdict::kDrop : Verdict::kReject, Conditions());
      if (what >= 7 && chain < 2) rule = Leads(what == 9 ? Verdict::kGoto : Verdict::kJump, next, Conditions());
      if (what == 8 && chain > 0) rule = Does(Verdict::kReturn, Conditions());
      if (Perhaps(0.08)) rule.rule.fully_understood = false, rule.rule.not_understood = "something";
      rules.push_back(std::move(rule));
    }
    return rules;
  }

  std::mt19937 random_;
};

Packet Arriving(const char* source, std::uint16_t port, std::uint8_t protocol, std::uint32_t state) {
  Packet packet = Syn(port);
  packet.source = IpAddress::Parse(source);
  packet.protocol = protocol;
  packet.state = state;
  if (state == kStateEstablished) packet.tcp_flags = 16;
  return packet;
}

WalkRouting Local() {
  WalkRouting routing;
  routing.is_local = [](const IpAddress&) { return true; };
  return routing;
}

}  // namespace

TEST_CASE("a printed command lets through what was asked, and nothing that another rule stopped") {
  int fixes = 0, refused = 0;
  for (unsigned seed = 0; seed < 10'000; ++seed) {
    RandomRules random(seed);
    AskedRules asked;
    asked.firewall = random.Make();
    asked.Ask(kSources[random.Below(4)], kPorts[random.Below(4)]);
    const FirewallReading before = asked.firewall.Now();
    const PacketWalker then(before);
    for (const diagnose::Finding& finding : asked.Look().findings) {
      if (finding.cures.empty()) continue;
      refused += finding.fix.empty() ? 1 : 0;
      const Packet& cured = finding.cures.front().packet.packet;
      if (finding.cures.front().packet.leaves) continue;
      const Walk stopped = then.Arrives(cured, Local());
      for (const diagnose::Fix& fix : finding.fix) {
        ++fixes;
        FirewallReading after = before;
        for (const RuleEdit& edit : fix.edits) after = Edited(after, edit);
        const PacketWalker now(after);
        INFO("seed " << seed << ": " << fix.command);
        CHECK(now.Arrives(cured, Local()).passes == Match::kYes);
        for (const char* source : kSources) {
          for (const std::uint16_t port : kPorts) {
            for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
              for (const std::uint32_t state : {kStateNew, kStateEstablished}) {
                const Packet other = Arriving(source, port, protocol, state);
                const Walk was = then.Arrives(other, Local()), is = now.Arrives(other, Local());
                CHECK(is.passes >= was.passes);  // nothing is stopped that was not
                if (was.passes != Match::kNo || is.passes == Match::kNo) continue;
                INFO(source << " port " << port << " protocol " << int{protocol} << " state " << state);
                CHECK((other.source == cured.source || cured.state != kStateNew));
                const Decision *its = was.stop(), *asked_ones = stopped.stop();
                const bool same_end = its != nullptr && asked_ones != nullptr && its->rule == asked_ones->rule;
                CHECK((same_end || (port == cured.destination_port->first && protocol == *cured.protocol)));
              }
            }
          }
        }
      }
    }
  }
  CHECK(fixes > 500);
  CHECK(refused > 10);
}

TEST_CASE("where two tables stop the same, the command lets it through both") {
  AskedRules asked;
  asked.firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  asked.firewall.Base("late", "input", "input", 10, Verdict::kDrop, {});
  const auto finding = asked.Ask("192.0.2.7", 80).Look().findings.at(0);
  REQUIRE(finding.fix.size() == 1);
  CHECK(finding.fix[0].edits.size() == 2);
  CHECK(finding.fix[0].command.find(" && ") != std::string::npos);
}

TEST_CASE("behind a rule that is not understood no command is offered, and which rule it is is told") {
  AskedRules asked;
  BuiltRule odd = Does(Verdict::kDrop, {Tcp(), ToPort(80)});
  odd.rule.fully_understood = false;
  odd.rule.not_understood = "bpf";
  asked.firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept,
                      {odd, Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  const auto finding = asked.Ask("192.0.2.7", 80).Look().findings.at(0);
  CHECK(finding.fix.empty());
  CHECK(finding.decide.find("bpf") != std::string::npos);
}

TEST_CASE("no command passes over what stands behind the rule, and is done to the packet without it") {
  AskedRules asked;
  BuiltRule marks = Does(Verdict::kContinue);
  const bool does = GENERATE(true, false);
  if (does) marks.rule.mark = MarkChange{true, 0, 7};
  asked.firewall.Base("mangle", "pre", "prerouting", -150, Verdict::kAccept,
                      {Does(Verdict::kDrop, {Tcp(), ToPort(80)}), marks});
  const auto finding = asked.Ask("192.0.2.7", 80).Look().findings.at(0);
  CHECK(finding.fix.empty() == does);
  CHECK((finding.decide.find("translate or mark") != std::string::npos) == does);
}

TEST_CASE("no command is offered where an answer may be stopped by what is not understood") {
  AskedRules asked;
  asked.firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, {Does(Verdict::kDrop, {Tcp(), ToPort(80)})});
  BuiltRule odd = Does(Verdict::kDrop);
  odd.rule.fully_understood = GENERATE(true, false);
  if (odd.rule.fully_understood) odd.rule.conditions = {ToPort(80)};  // no answer is
  odd.rule.not_understood = "bpf";
  asked.firewall.Base("out", "output", "output", 0, Verdict::kAccept, {odd});
  CHECK(asked.Ask("192.0.2.7", 80).Look().findings.at(0).fix.empty() != odd.rule.fully_understood);
}
