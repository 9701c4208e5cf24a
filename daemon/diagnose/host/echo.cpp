#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include "daemon/diagnose/host/host_findings.h"

namespace conntally::diagnose {

void CheckEcho(const Case& facts, Report& report) {
  const std::uint8_t protocol = facts.question.protocol.value_or(std::uint8_t{0});
  const bool asked = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
  if (!asked || !facts.host.routes.destination_is_local || facts.outcome.destination_translated) return;
  const auto& address = facts.question.destination ? facts.question.destination : facts.question.source;
  const bool ipv6 = address && address->family == Family::kIpv6;
  const std::string path = ipv6 ? "net/ipv6/icmp/echo_ignore_all" : "net/ipv4/icmp_echo_ignore_all";
  if (facts.Sysctl(path).value_or(0) == 0) return;
  Finding finding;
  finding.id = FindingId::kNoListener;
  finding.title = "This host is set to answer no ping";
  finding.certainty = 0.95;
  finding.evidence = {fmt::format("/proc/sys/{} is not 0", path)};
  finding.cause = "the kernel ignores echo requests, whatever the rules let through";
  facts.HoldAgainstRules(finding);
  finding.decide = fmt::format("whether everybody whom the rules let through may ping this host: `{}`",
                               SetSysctl(facts, path, "0", "").command);
  report.findings.push_back(std::move(finding));
}

}  // namespace conntally::diagnose
