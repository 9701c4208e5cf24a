#include "daemon/diagnose/facts/watched_text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "collectors/tally/protocol_names.h"

namespace conntally::diagnose {
namespace {

const char* UnreachableName(const WatchedFlow& flow) {
  // RFC 792 and RFC 1812; RFC 4443.
  if (flow.source.family == Family::kIpv6) {
    switch (flow.icmp_code) {
      case 0: return "no route";
      case 1: return "administratively prohibited";
      case 3: return "address unreachable";
      case 4: return "port unreachable";
      case 5: return "failed policy";
      case 6: return "reject route";
      default: return "unreachable";
    }
  }
  switch (flow.icmp_code) {
    case 0: return "net unreachable";
    case 1: return "host unreachable";
    case 2: return "protocol unreachable";
    case 3: return "port unreachable";
    case 9: return "net prohibited";
    case 10: return "host prohibited";
    case 13: return "administratively prohibited";
    default: return "unreachable";
  }
}

struct Tally {
  std::uint64_t flows = 0;
  std::uint64_t accepted = 0;
  std::uint64_t reset = 0;
  std::uint64_t unreachable = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t repeated = 0;   // requests beyond the first
  std::uint64_t went_on = 0;    // unanswered ones that were seen leaving this host again
  std::uint64_t lost_back = 0;  // unanswered ones whose answer came here
  std::uint64_t in_vain = 0;    // accepted ones whose asker does not know
  std::uint64_t from_another = 0;
};

void Add(const WatchedPackets& watched, const WatchedFlow& flow, Tally& tally) {
  ++tally.flows;
  tally.repeated += flow.requests > 1 ? flow.requests - 1 : 0;
  tally.accepted += watched.IsAccepted(flow) && flow.acknowledged != false;  // not yet
  tally.in_vain += watched.IsAnswerLost(flow);
  tally.from_another += flow.answer == WatchedFlow::Answer::kFromAnother;
  tally.reset += flow.answer == WatchedFlow::Answer::kReset;
  tally.unreachable += flow.answer == WatchedFlow::Answer::kUnreachable;
  tally.unanswered += watched.IsUnanswered(flow);
  tally.lost_back += watched.IsUnanswered(flow) && flow.answer_arrived;
  tally.went_on += watched.IsUnanswered(flow) && flow.out_link != 0 && !flow.answer_arrived;
}

std::string Sentence(const Tally& tally) {
  return fmt::format(
      "{} connection attempts: {} accepted, {} answered by a reset, {} by ICMP unreachable, {} not answered; {} "
      "repeated requests",
      Grouped(tally.flows), Grouped(tally.accepted), Grouped(tally.reset), Grouped(tally.unreachable),
      Grouped(tally.unanswered), Grouped(tally.repeated));
}

}  // namespace

std::vector<std::string> DescribeWatched(const Case& facts) {
  constexpr std::size_t kSourcesNamed = 3;
  std::vector<std::string> lines;
  if (!facts.watched) return lines;
  const WatchedPackets& watched = *facts.watched;
  const std::string during = "in " + Lasting(std::chrono::duration<double>(watched.lasted).count());
  if (facts.question.protocol && !HasPorts(*facts.question.protocol))
    return {"on the wire: only TCP and UDP are watched"};
  if (watched.flows.empty()) return {"on the wire, " + during + ": nothing of the kind arrived or left"};
  Tally all;
  std::map<IpAddress, Tally> sources;
  const WatchedFlow *unreachable = nullptr, *in_vain = nullptr, *from_another = nullptr;
  for (const WatchedFlow& flow : watched.flows) {
    Add(watched, flow, all);
    Add(watched, flow, sources[flow.source]);
    if (flow.answer == WatchedFlow::Answer::kUnreachable) unreachable = &flow;
    if (flow.answer == WatchedFlow::Answer::kFromAnother) from_another = &flow;
    if (watched.IsAnswerLost(flow)) in_vain = &flow;
  }
  lines.push_back("on the wire, " + during + ": " + Sentence(all));
  if (unreachable != nullptr && unreachable->answered_by) {
    lines.push_back(fmt::format("{} says: {}", unreachable->answered_by->ToString(), UnreachableName(*unreachable)));
  }
  if (in_vain != nullptr) {
    const Link *came = facts.host.LinkOf(in_vain->in_link), *left = facts.host.LinkOf(in_vain->answered_by_link);
    const bool other_link = came != nullptr && left != nullptr && came != left;
    lines.push_back(fmt::format(
        "{} were answered, but whoever asked does not go on{}", Grouped(all.in_vain),
        other_link ? fmt::format(": requests arrive by {}, and answers leave by {}", came->name, left->name) : ""));
  }
  if (from_another != nullptr && from_another->answered_by) {
    lines.push_back(fmt::format("{} were answered from another address than was asked: {} asked {}, and {} answers",
                                Grouped(all.from_another), from_another->source.ToString(),
                                from_another->destination.ToString(), from_another->answered_by->ToString()));
  }
  if (all.went_on > 0)
    lines.push_back(fmt::format(
        "{} of the unanswered requests left this host again: they are lost behind it, or not answered there",
        Grouped(all.went_on)));
  if (all.lost_back > 0)
    lines.push_back(fmt::format("the answers to {} of them came here and did not leave: this host drops them",
                                Grouped(all.lost_back)));
  std::vector<std::pair<std::uint64_t, IpAddress>> ordered;
  for (const auto& [address, tally] : sources) ordered.emplace_back(tally.flows, address);
  std::sort(ordered.rbegin(), ordered.rend());
  for (std::size_t i = 0; sources.size() > 1 && i < std::min(kSourcesNamed, ordered.size()); ++i) {
    lines.push_back(ordered[i].second.ToString() + ": " + Sentence(sources[ordered[i].second]));
  }
  if (watched.flows_left_out + watched.packets_lost > 0) {
    lines.push_back(fmt::format("{} more were left out, and {} packets were not read in time",
                                Grouped(watched.flows_left_out), Grouped(watched.packets_lost)));
  }
  return lines;
}

void TellWatched(const Case& facts, Finding& finding) {
  for (std::string& line : DescribeWatched(facts)) finding.evidence.push_back(std::move(line));
  finding.tells_what_was_watched = true;
}

}  // namespace conntally::diagnose
