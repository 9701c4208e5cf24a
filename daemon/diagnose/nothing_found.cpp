#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/diagnose/facts/watched_text.h"
#include "daemon/diagnose/order.h"
#include "daemon/diagnose/report/report_text.h"

namespace conntally::diagnose {
namespace {

constexpr double kLostHereMax = 0.4;
constexpr std::size_t kNotKnownMost = 3;  // that are named: the others are listed as not checked

}  // namespace

Finding NothingFound(const Case& facts, const Report& report) {
  Finding finding;
  finding.id = FindingId::kNothingFound;
  finding.title = "Nothing on this host explains why " + Describe(facts.question) + " would be refused or lost";
  // What arrived and neither left nor was answered was lost here, for an unknown reason.
  const auto any_unanswered = [&](const auto& lost) {
    return facts.watched && std::ranges::any_of(facts.watched->flows, [&](const WatchedFlow& flow) {
             return facts.watched->IsUnanswered(flow) && lost(flow);
           });
  };
  const bool lost_here =
      any_unanswered([](const WatchedFlow& flow) { return flow.in_link != 0 && flow.out_link == 0; });
  // Answers to this host's own requests are seen arriving, before its rules.
  const auto is_own = [&](const WatchedFlow& flow) {
    const Link* link = facts.host.LinkOf(flow.in_link);
    return flow.in_link == 0 || (link != nullptr && link->loopback);
  };
  const bool answers_lost_here =
      any_unanswered([](const WatchedFlow& flow) { return flow.answer_arrived; }) ||
      (facts.watched && std::ranges::any_of(facts.watched->flows, [&](const WatchedFlow& flow) {
         return facts.watched->IsAnswerLost(flow) && is_own(flow);
       }));
  finding.certainty = lost_here || answers_lost_here ? kLostHereMax : report.not_checked.empty() ? 0.9 : 0.6;
  if (lost_here || answers_lost_here)
    finding.title = fmt::format("The cause is not found: {} {} come here and go no further",
                                lost_here ? "packets of" : "answers to", Describe(facts.question));
  TellWatched(facts, finding);
  // Adds what could not be checked and may still stop it.
  for (std::size_t i = 0; i < std::min(report.not_checked.size(), kNotKnownMost); ++i)
    finding.evidence.push_back("not known: " + report.not_checked[i].what + " (" + report.not_checked[i].why + ")");
  if (facts.daemon && facts.daemon->asked) {
    for (const std::string& drop : facts.daemon->asked->drops)
      finding.evidence.push_back("the daemon saw drops from this source: " + drop);
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
