#include <spdlog/fmt/fmt.h>

#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "collectors/nat/source_nat_rules.h"
#include "collectors/tally/protocol_names.h"
#include "daemon/diagnose/table/table_findings.h"

namespace conntally::diagnose {
namespace {

constexpr double kExhausted = 0.98;  // the kernel tries some ports at random, and gives up with a few still free
constexpr std::size_t kNamed = 5;

// Whether the question is about a use: yes, perhaps, no.
enum class Meant : std::uint8_t { kNo, kMaybe, kYes };

// Whether a connection of the source would get a port of this use.
bool MayBeGivenTo(const Case& facts, const PortUse& use, const IpAddress& source) {
  if (source.family != use.nat_address.family) return false;
  if (std::any_of(use.holders.begin(), use.holders.end(),
                  [&](const PortUse::Holder& holder) { return holder.source == source; }))
    return true;
  SourceNatRules::Given given;
  given.packet.family = source.family;
  given.packet.source = source;
  given.packet.destination = use.destination.address;
  given.packet.protocol = use.destination.protocol;
  if (use.destination.port != 0)
    given.packet.destination_port = NumberRange{use.destination.port, use.destination.port};
  given.packet.status.reset();
  given.packet.mark.reset();
  given.original_port = static_cast<std::uint16_t>(kClientPorts.first);
  given.address = use.nat_address;
  given.port = static_cast<std::uint16_t>(use.ports.first);
  const auto ranges = SourceNatRules(facts.rules).PortsOf({&given, 1});
  return std::find(ranges.begin(), ranges.end(), use.ports) != ranges.end();
}

// Whether it is the destination in question, after or before translation.
bool IsDestination(const Case& facts, const PortUse& use) {
  const Question& question = facts.question;
  const auto is_asked = [&](const Endpoint& end) {
    return (!question.destination || *question.destination == end.address) &&
           (!question.destination_port || *question.destination_port == end.port) &&
           (!question.protocol || *question.protocol == end.protocol);
  };
  return is_asked(use.destination) || std::any_of(facts.nat->destinations.begin(), facts.nat->destinations.end(),
                                                  [&](const DestinationTranslation& each) {
                                                    return each.after == use.destination && is_asked(each.before);
                                                  });
}

Meant IsMeant(const Case& facts, const PortUse& use) {
  const Question& question = facts.question;
  if (!IsDestination(facts, use)) return Meant::kNo;
  if (question.source && !MayBeGivenTo(facts, use, *question.source)) return Meant::kNo;
  return question.destination ? Meant::kYes : Meant::kMaybe;
}

std::string Written(const Endpoint& end) {
  const std::string address = end.address.ToString();
  if (end.port == 0) return address;
  return (end.address.family == Family::kIpv6 ? "[" + address + "]" : address) + ":" + std::to_string(end.port);
}

std::string HoldersOf(const PortUse& use) {
  std::string names;
  for (std::size_t i = 0; i < use.holders.size() && i < kNamed; ++i)
    names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", use.holders[i].source.ToString(),
                         Grouped(use.holders[i].connections));
  if (use.sources > kNamed) names += fmt::format(" and {} more", use.sources - kNamed);
  return names;
}

// The timeout that keeps the ports of idle connections, if it is longer than usually needed.
std::string LongTimeout(const Case& facts, const PortUse& use) {
  struct Timeout {
    std::uint8_t protocol;
    const char* name;
    std::int64_t long_from_seconds;
  };
  static constexpr std::array kTimeouts = {Timeout{IPPROTO_UDP, "nf_conntrack_udp_timeout_stream", 61},
                                           Timeout{IPPROTO_TCP, "nf_conntrack_tcp_timeout_established", 7441}};
  for (const Timeout& timeout : kTimeouts) {
    const auto now = facts.Sysctl(std::string("net/netfilter/") + timeout.name);
    if (timeout.protocol == use.destination.protocol && now && *now >= timeout.long_from_seconds)
      return fmt::format("; a timeout shorter than {} s (net.netfilter.{}) frees ports of silent connections sooner",
                         *now, timeout.name);
  }
  return {};
}

double CertaintyOf(const Case& facts, Meant meant) {
  const bool growing = facts.Growth(TableCounter::kInsertFailed) > facts.Growth(TableCounter::kChainTooLong);
  const bool failed = facts.Total(TableCounter::kInsertFailed) > facts.Total(TableCounter::kChainTooLong);
  if (meant == Meant::kYes) return growing ? 0.97 : failed ? 0.94 : 0.9;
  return growing ? 0.9 : failed ? 0.6 : 0.4;
}

Finding Describe(const Case& facts, const PortUse& use, Meant meant) {
  const std::string protocol = ProtocolName(use.destination.protocol);
  const std::string address = use.nat_address.ToString(), to = Written(use.destination);
  Finding finding;
  finding.id = FindingId::kNatPortsExhausted;
  finding.certainty = CertaintyOf(facts, meant);
  finding.title = fmt::format("{} has no port left towards {} ({}): {} of {} are taken", address, to, protocol,
                              Grouped(use.used), Grouped(use.available()));
  finding.evidence.push_back(fmt::format("ports {} to {} of {}: {} are in use towards {} ({})", use.ports.first,
                                         use.ports.last, address, Grouped(use.used), to, protocol));
  if (use.closed > 0)
    finding.evidence.push_back(fmt::format(
        "{} of them are of connections that have ended; the kernel takes such a port again where it can", use.closed));
  finding.evidence.push_back("held by: " + HoldersOf(use));
  finding.evidence.push_back(
      fmt::format("{} connections could not be entered since this namespace began, {} of them in the last {}",
                  Grouped(facts.Total(TableCounter::kInsertFailed)), Grouped(facts.Growth(TableCounter::kInsertFailed)),
                  Lasting(facts.ObservedSeconds())));
  finding.cause = fmt::format(
      "each connection from {} to {} needs a port of its own, since it tells replies apart; a new one finds none, and "
      "its packets are lost. Other destinations still have all ports. The table is not full, and choosing ports "
      "differently frees none",
      address, to);
  const bool kernels = use.ports.last - use.ports.first + 1 == 64'512;
  finding.decide = fmt::format(
      "give the rule more addresses (a pool){}; have {} reuse connections, or close those that it leaves open{}",
      kernels ? "" : fmt::format(", or a wider range than {}-{}", use.ports.first, use.ports.last),
      use.holders.empty() ? "the sources" : use.holders.front().source.ToString(), LongTimeout(facts, use));
  if (!use.holders.empty()) finding.source = use.holders.front().source;
  return finding;
}

}  // namespace

void CheckNatPorts(const Case& facts, Report& report) {
  if (!facts.nat) return;
  std::size_t told = 0;
  const bool asked = facts.question.source || facts.question.destination || facts.question.destination_port;
  const bool growing = facts.Growth(TableCounter::kInsertFailed) > facts.Growth(TableCounter::kChainTooLong);
  for (const PortUse& use : facts.nat->uses) {
    // Ports that the kernel reuses are available, unless insertions fail.
    const double usage = growing ? use.usage() : use.lasting_usage();
    if (!use.can_run_out() || usage < kExhausted || told == kNamed) continue;
    const Meant meant = IsMeant(facts, use);
    if (asked && meant == Meant::kNo) continue;
    report.findings.push_back(Describe(facts, use, meant));
    ++told;
  }
  const std::string fullest =
      facts.nat->uses.empty() ? "" : fmt::format(", the fullest {}", Percent(facts.nat->uses.front().usage()));
  report.checked.push_back(fmt::format("ports of translated addresses: {} uses{}", facts.nat->uses.size(), fullest));
}

}  // namespace conntally::diagnose
