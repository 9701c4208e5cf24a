#include "daemon/alerts/judges/judge_scans.h"

#include <cmath>
#include <map>

#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {
namespace {

struct Contacts {
  const SourceFigures* figures = nullptr;
  AnswerFigures::Candidate lately;
  double dropped = 0;  // distinct ports, or pairs of a destination and a port
  bool pairs = false;
  double dropped_rate = 0;
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
    of_source.pairs = dropped.drops.distinct_pairs > dropped.drops.distinct_ports &&
                      IsOurs(dropped.figures, StandingOf(dropped.figures));
    of_source.dropped = std::round(of_source.pairs ? dropped.drops.distinct_pairs : dropped.drops.distinct_ports);
    of_source.dropped_rate = dropped.drops.rate;
  }
  const AlertRule& of_kind = rules[AlertKind::kSourceScanning];
  for (const auto& [name, of_source] : contacts) {
    double failed = of_source.lately.failed + of_source.dropped;
    std::uint32_t succeeded = of_source.lately.succeeded;
    // How many of these were answered is known only for those with most failures.
    if (of_source.pairs)
      succeeded = std::max(succeeded, static_cast<std::uint32_t>(std::min(of_source.figures->new_rate * 60, 1e9)));
    std::string where;
    const double at_port = of_source.lately.failed_at_port;
    if (Walk(failed, succeeded) < std::log(kOneWrong) &&
        of_source.lately.succeeded_at_port <= kScannerSucceeds * at_port) {
      failed = at_port;
      succeeded = of_source.lately.succeeded_at_port;
      where = fmt::format(" at TCP port {}", of_source.lately.port);
    }
    const Standing standing = StandingOf(*of_source.figures);
    const AlertRule rule = IsOurs(*of_source.figures, standing) ? of_kind : of_kind.Milder();
    if (rule.Quiet(failed) || Walk(failed, succeeded) < std::log(kOneWrong)) continue;
    std::string how;
    if (of_source.lately.failed > 0)
      how += fmt::format(" Those that were not answered, or refused, went to about {} ports of {} destinations.",
                         of_source.lately.ports, of_source.lately.destinations);
    if (of_source.dropped > 0)
      how += fmt::format(" Packets to about {:.0f} {} were dropped or rejected, {:.1f} a second.", of_source.dropped,
                         of_source.pairs ? "destinations and ports" : "ports", of_source.dropped_rate);
    into.push_back(
        {{AlertKind::kSourceScanning, name, {}},
         failed,
         fmt::format("Of the destinations and ports that {} reached for in the last minute{}, {:.0f} failed and "
                     "{} answered.{}",
                     name, where, failed, succeeded, how),
         {{"failed_contacts", failed},
          {"succeeded_contacts", static_cast<double>(succeeded)},
          {"dropped_ports", of_source.dropped},
          {"ports", static_cast<double>(of_source.lately.ports)},
          {"destinations", static_cast<double>(of_source.lately.destinations)}},
         standing,
         rule});
  }
}

}  // namespace conntally
