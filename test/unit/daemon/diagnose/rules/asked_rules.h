// A host with one outer link and rules put together by hand, and what is found there for a question.
#pragma once

#include <algorithm>

#include "daemon/diagnose/rules/rule_findings.h"
#include "test/unit/collectors/rules/built_rules.h"

namespace conntally::test {

struct AskedRules {
  diagnose::Question question;
  diagnose::HostFacts host;
  Firewall firewall;
  std::string root = "/nonexistent";
  const WatchedPackets* watched = nullptr;
  std::optional<RuleBackend> unread = {};      // its rules could not be read
  bool lacks_capability = false;               // for want of one
  mutable diagnose::RuleOutcome outcome = {};  // of the last look

  AskedRules() {
    Link lo, wan;
    lo.index = 1, lo.name = "lo", lo.up = lo.loopback = true;
    wan.index = 2, wan.name = "eth0", wan.up = true;
    host.links = std::vector<Link>{lo, wan};
    host.addresses =
        std::vector<LocalAddress>{{*IpAddress::Parse("127.0.0.1"), 8, 1}, {*IpAddress::Parse("192.0.2.1"), 24, 2}};
    host.connections = ConnectionList{};
    host.routes.in_link = 2;
  }

  AskedRules& Ask(const char* source, std::optional<std::uint16_t> port) {
    if (source != nullptr) question.source = IpAddress::Parse(source);
    question.destination_port = port;
    return *this;
  }
  AskedRules& Hold(const char* source, std::size_t connections) {
    for (std::size_t i = 0; i < connections; ++i) {
      Connection connection;
      connection.key.source = IpAddress::Parse(source)->bytes;
      connection.key.destination = IpAddress::Parse("192.0.2.1")->bytes;
      connection.key.protocol = 6;
      connection.key.destination_port = 80;
      connection.key.source_port = static_cast<std::uint16_t>(40000 + i);
      connection.tcp_state = TcpState::kEstablished;
      host.connections->connections.push_back(connection);
    }
    return *this;
  }

  diagnose::Report Look() const {
    diagnose::Report report;
    const FirewallReading before = firewall.Before();
    FirewallReading after = firewall.Now();
    for (auto& [backend, one] : after.backends) one.ruleset = before.backends.at(backend).ruleset;  // as a reader does
    const auto no_route = [](const RouteQuestion&) -> Result<Route> {
      Route route;
      route.kind = Route::Kind::kForward;
      route.link = 2;
      return route;
    };
    if (unread) {
      BackendReading& one = after.backends[*unread];
      one.present = !lacks_capability;
      one.lacks_capability = lacks_capability;
      one.ruleset = std::make_shared<Ruleset>();
    }
    outcome = diagnose::CheckRules({question, host, before, after, root, no_route, watched}, report);
    std::stable_sort(report.findings.begin(), report.findings.end(),
                     [](const auto& a, const auto& b) { return a.certainty > b.certainty; });
    return report;
  }
  // Of all findings, the likeliest first.
  std::vector<std::string> Ids() const {
    std::vector<std::string> ids;
    for (const diagnose::Finding& finding : Look().findings) ids.push_back(diagnose::WordOf(finding.id));
    return ids;
  }
};

using Strings = std::vector<std::string>;
inline RuleCondition Established() { return State(kStateEstablished | kStateRelated); }

}  // namespace conntally::test
