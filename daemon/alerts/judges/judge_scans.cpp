#include "daemon/alerts/judges/judge_scans.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {
namespace {

struct Contacts {
  const SourceFigures* figures = nullptr;
  AnswerFigures::Candidate lately;
  double dropped_ports = 0;
  double dropped_pairs = 0;  // of a destination and a port; of ours
  double dropped_rate = 0;
};

// What failed and what succeeded, of all contacts or of some.
struct Outcome {
  double failed = 0;
  double succeeded = 0;
  std::string where = "";

  bool scans() const { return ScanJudge::Walk(failed, succeeded) >= std::log(ScanJudge::kOneWrong); }
};

// An address that no host on the Internet has (RFC 1918, RFC 4193, link-local).
bool IsPrivate(const IpAddress& address) {
  const auto& bytes = address.bytes;
  if (address.family == Family::kIpv6) return (bytes[0] & 0xfe) == 0xfc || IsOfLinkAlone(address);
  return bytes[0] == 10 || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) || (bytes[0] == 192 && bytes[1] == 168) ||
         (bytes[0] == 169 && bytes[1] == 254);
}

// One of ours. Being proven is not enough: a scanner on the Internet is proven too, by the open ports that it finds.
bool IsOurs(const SourceFigures& figures, Standing standing) {
  return standing >= Standing::kRegular || (standing == Standing::kProven && IsPrivate(figures.source));
}

// The first by which the source scans; nullopt: none.
std::optional<Outcome> ScanOf(const Contacts& contacts, const AlertRule& rule) {
  const auto& lately = contacts.lately;
  std::vector<Outcome> outcomes = {{lately.failed + contacts.dropped_ports, static_cast<double>(lately.succeeded)}};
  if (lately.succeeded_at_port <= ScanJudge::kScannerSucceeds * lately.failed_at_port)
    outcomes.push_back({static_cast<double>(lately.failed_at_port), static_cast<double>(lately.succeeded_at_port),
                        fmt::format(" at TCP port {}", lately.port)});
  // What was answered is counted only of those with most failures that are no drops.
  const auto answered = static_cast<double>(contacts.figures->connections - contacts.figures->unreplied);
  if (contacts.dropped_pairs > contacts.dropped_ports)
    outcomes.push_back(
        {contacts.dropped_pairs, std::max(answered, contacts.figures->new_rate * 60 - lately.failed), " behind rules"});
  const auto scan = std::find_if(outcomes.begin(), outcomes.end(), [&](const Outcome& outcome) {
    return outcome.scans() && !rule.Quiet(outcome.failed);
  });
  return scan == outcomes.end() ? std::nullopt : std::optional(*scan);
}

}  // namespace

double ScanJudge::Walk(double failed, double succeeded) {
  return failed * std::log((1 - kScannerSucceeds) / (1 - kOthersSucceed)) +
         succeeded * std::log(kScannerSucceeds / kOthersSucceed);
}

void ScanJudge::Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into) {
  std::map<std::string, Contacts> contacts;
  for (const auto& failing : evidence.failing_sources) {
    const bool over = failing.contacts.recent * kRecentPart < failing.contacts.failed;
    if (failing.own || over) continue;
    Contacts& of_source = contacts[failing.name];
    of_source.figures = &failing.figures;
    of_source.lately = failing.contacts;
  }
  for (const auto& dropped : evidence.dropped) {
    const bool dated = dropped.drops.last_dropped != SteadyTime{};
    const bool over = dated && evidence.now - dropped.drops.last_dropped > kOver;
    if (dropped.own || over || dropped.drops.distinct_ports < 1) continue;
    Contacts& of_source = contacts[dropped.name];
    if (of_source.figures == nullptr) of_source.figures = &dropped.figures;
    of_source.dropped_ports = std::round(dropped.drops.distinct_ports);
    if (IsOurs(dropped.figures, StandingOf(dropped.figures)))
      of_source.dropped_pairs = std::round(dropped.drops.distinct_pairs);
    of_source.dropped_rate = dropped.drops.rate;
  }
  const AlertRule& of_kind = rules[AlertKind::kSourceScanning];
  for (const auto& [name, of_source] : contacts) {
    const Standing standing = StandingOf(*of_source.figures);
    const AlertRule rule = IsOurs(*of_source.figures, standing) ? of_kind : of_kind.Milder();
    const auto scan = ScanOf(of_source, rule);
    if (!scan) continue;
    std::string how;
    if (of_source.lately.failed > 0)
      how += fmt::format(" Those that were not answered, or refused, went to about {} ports of {} destinations.",
                         of_source.lately.ports, of_source.lately.destinations);
    if (of_source.dropped_ports > 0)
      how += fmt::format(" Packets to about {:.0f} ports{} were dropped or rejected, {:.1f} a second.",
                         of_source.dropped_ports,
                         of_source.dropped_pairs > of_source.dropped_ports
                             ? fmt::format(" ({:.0f} with their destinations)", of_source.dropped_pairs)
                             : "",
                         of_source.dropped_rate);
    into.push_back(
        {{AlertKind::kSourceScanning, name, {}},
         scan->failed,
         fmt::format("Of the destinations and ports that {} reached for in the last minute{}, {:.0f} failed and "
                     "{:.0f} answered.{}",
                     name, scan->where, scan->failed, std::max(scan->succeeded, 0.0), how),
         {{"failed_contacts", scan->failed},
          {"succeeded_contacts", std::max(scan->succeeded, 0.0)},
          {"dropped_ports", of_source.dropped_ports},
          {"ports", static_cast<double>(of_source.lately.ports)},
          {"destinations", static_cast<double>(of_source.lately.destinations)}},
         standing,
         rule});
  }
}

}  // namespace conntally
