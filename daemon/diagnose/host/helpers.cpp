#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "collectors/tally/protocol_names.h"
#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {
namespace {

struct Helper {
  const char* name;
  std::uint8_t protocol;
  std::uint16_t port;
  const char* related;  // the further connections that it opens
};

constexpr std::array<Helper, 8> kHelpers = {{
    {"ftp", IPPROTO_TCP, 21, "its data connections"},
    {"sip", IPPROTO_UDP, 5060, "the media streams of its calls"},
    {"sip", IPPROTO_TCP, 5060, "the media streams of its calls"},
    {"tftp", IPPROTO_UDP, 69, "the answers, which come from another port"},
    {"pptp", IPPROTO_TCP, 1723, "its GRE tunnel"},
    {"h323", IPPROTO_TCP, 1720, "the media streams of its calls"},
    {"irc", IPPROTO_TCP, 6667, "direct connections between clients (DCC)"},
    {"amanda", IPPROTO_UDP, 10080, "its data connections"},
}};

// Whether anything is blocked or translated at all: otherwise no helper is needed.
bool FiltersTraffic(const FirewallReading& rules) {
  for (const auto& [backend, read] : rules.backends) {
    if (!read.present || !read.ruleset) continue;
    const bool drops = std::any_of(read.ruleset->rules.begin(), read.ruleset->rules.end(), [](const Rule& rule) {
      return rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject;
    });
    const bool closes =
        std::any_of(read.ruleset->chains.begin(), read.ruleset->chains.end(), [](const RuleChain& chain) {
          return chain.base && chain.policy == Verdict::kDrop &&
                 (chain.hook == "input" || chain.hook == "forward" || chain.hook == "output");
        });
    if (drops || closes) return true;
  }
  return false;
}

bool IsAssigned(const FirewallReading& rules, const Helper& helper) {
  for (const auto& [backend, read] : rules.backends) {
    if (!read.present || !read.ruleset) continue;
    for (const Rule& rule : read.ruleset->rules) {
      const bool assigns =
          rule.text.find("--helper ") != rule.text.npos || rule.text.find("ct helper set") != rule.text.npos;
      if (assigns && rule.text.find(helper.name) != rule.text.npos) return true;
    }
  }
  return false;
}

struct InUse {
  std::uint64_t without = 0;
  std::uint64_t with = 0;
  std::uint64_t translated = 0;  // of those without
  const FlowKey* one = nullptr;  // of those without
};

InUse CountConnections(const ConnectionList& list, const Helper& helper) {
  InUse use;
  for (const Connection& connection : list.connections) {
    if (connection.key.protocol != helper.protocol || connection.key.destination_port != helper.port) continue;
    if ((connection.status & IPS_SEEN_REPLY) == 0) continue;  // no server answers
    if (connection.has_helper) {
      ++use.with;
    } else {
      ++use.without;
      use.one = &connection.key;
      use.translated += (connection.status & IPS_NAT_MASK) != 0;
    }
  }
  return use;
}

void AddMissing(const Case& facts, const Helper& helper, const InUse& use, bool assigned, Report& report) {
  const bool asked = facts.question.destination_port == helper.port;
  Finding finding;
  finding.id = FindingId::kHelperMissing;
  finding.title =
      fmt::format("{} is in use (port {}), and no conntrack helper is assigned to it", helper.name, helper.port);
  finding.certainty = asked ? 0.7 : 0.35;
  finding.evidence.push_back(fmt::format(
      "{} connections to {} port {} have no helper, {} have one; {} of the former are translated", Grouped(use.without),
      ProtocolName(helper.protocol), helper.port, Grouped(use.with), Grouped(use.translated)));
  if (!assigned && !facts.outcome.unread.empty()) {
    finding.certainty *= 0.5;
    finding.evidence.push_back("whether a rule assigns it is not known: not all rules could be read");
  } else {
    finding.evidence.push_back(
        assigned ? "a rule assigns it, but came too late for these connections, or does not match them"
                 : "no rule assigns it");
  }
  finding.cause = fmt::format(
      "the firewall only knows what belongs to such a connection ({}) if a helper reads along; without it they are new "
      "connections, dropped "
      "by rules or not translated. Since Linux 6.0 none is assigned by itself, and before only with "
      "nf_conntrack_helper=1",
      helper.related);
  Fix fix;
  // For one connection that lacks it: assigns the helper only to this server.
  const IpAddress server{use.one->destination, use.one->family};
  const std::string tool = server.family == Family::kIpv6 ? "ip6tables" : "iptables";
  const std::string chain = facts.host.IsLocal(use.one->SourceAddress()) ? "OUTPUT" : "PREROUTING";
  const std::string rule =
      fmt::format("{0} -s {1} -d {2} -p {3} --dport {4} -j CT --helper {5}", chain, use.one->SourceAddress().ToString(),
                  server.ToString(), ProtocolName(helper.protocol), helper.port, helper.name);
  fix.command = fmt::format("modprobe nf_conntrack_{} && {} -t raw -A {}", helper.name, tool, rule);
  fix.risk = "the helper opens what the other side asks for in clear text";
  fix.undo = fmt::format("{} -t raw -D {}", tool, rule);
  finding.decide = "for which other clients and servers the helper is meant: each needs to be named";
  fix.persist = fmt::format(
      "echo nf_conntrack_{} > /etc/modules-load.d/helper.conf, and the rule in /etc/iptables/rules.v4 (nft: a `ct "
      "helper` object, and a rule with `ct helper set`)",
      helper.name);
  finding.fix.push_back(std::move(fix));
  report.findings.push_back(std::move(finding));
}

}  // namespace

void CheckHelpers(const Case& facts, Report& report) {
  if (!facts.host.connections) return;
  report.checked.push_back("conntrack helpers (ftp, sip, tftp, pptp, h323, irc, amanda) for the ports in use");
  const bool filters = FiltersTraffic(facts.rules);
  for (const Helper& helper : kHelpers) {
    const InUse use = CountConnections(*facts.host.connections, helper);
    if (use.without == 0 || use.with > use.without) continue;
    if (!filters && use.translated == 0) continue;
    AddMissing(facts, helper, use, IsAssigned(facts.rules, helper), report);
  }
}

}  // namespace conntally::diagnose
