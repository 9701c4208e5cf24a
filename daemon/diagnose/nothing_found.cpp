#include "daemon/diagnose/facts/watched_text.h"
#include "daemon/diagnose/order.h"
#include "daemon/diagnose/report/report_text.h"

namespace conntally::diagnose {

Finding NothingFound(const Case& facts, const Report& report) {
  Finding finding;
  finding.id = FindingId::kNothingFound;
  finding.title = "Nothing on this host explains why " + Describe(facts.question) + " would be refused or lost";
  finding.certainty = report.not_checked.empty() ? 0.9 : 0.6;
  TellWatched(facts, finding);
  if (facts.daemon && facts.daemon->asked) {
    for (const std::string& drop : facts.daemon->asked->drops)
      finding.evidence.push_back("the daemon saw dropped of this source: " + drop);
  }
  finding.cause =
      facts.watched ? "what was watched above says how far the packets come"
                    : "if it goes on: do packets arrive at all? --observe 10s shows what arrives here and what answers";
  const bool narrowed = facts.question.source || facts.question.destination || facts.question.destination_port;
  finding.cause += narrowed
                       ? "; then look at the other end, and between: its firewall, its routes, name resolution, MTU"
                       : "; ask about the traffic that fails: --source, --destination, --dport, --protocol";
  return finding;
}

}  // namespace conntally::diagnose
