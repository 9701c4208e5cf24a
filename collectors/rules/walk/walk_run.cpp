#include "collectors/rules/walk/walk_run.h"

#include <algorithm>
#include <utility>

namespace conntally {
namespace {

constexpr std::int32_t kConntrackPriority = -200;  // NF_IP_PRI_CONNTRACK

}  // namespace

WalkRun::WalkRun(const PacketWalker& walker, Packet packet, const WalkRouting& routing)
    : walker_(walker), routing_(routing) {
  true_state_ = packet.state;
  walk_.packet = std::move(packet);
}

bool WalkRun::OfFamily(RuleFamily family) const {
  if (family == RuleFamily::kNetdev || bridging_) return true;
  return family == RuleFamily::kInet ||
         family == (walk_.packet.family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6);
}

// A device chain sees packets that arrive, or leave, by one of its devices.
bool WalkRun::IsOfDevice(const RuleChain& chain) const {
  if (hook_ != Hook::kIngress && hook_ != Hook::kEgress) return true;
  const std::optional<PacketInterface>& device = hook_ == Hook::kIngress ? walk_.packet.in : walk_.packet.out;
  return device && std::find(chain.devices.begin(), chain.devices.end(), device->name) != chain.devices.end();
}

void WalkRun::ThroughHook(Hook hook) {
  hook_ = hook;
  const bool first = (hook == Hook::kPrerouting || hook == Hook::kOutput) && !bridging_;
  for (const PacketWalker::Hooked& hooked : (bridging_ ? walker_.bridge_hooks_ : walker_.hooks_)[hook]) {
    if (alive_ == Match::kNo) return;
    const RuleChain& chain = walker_.chain(hooked.ref);
    if (!OfFamily(chain.family) || !IsOfDevice(chain)) continue;
    if (first && hooked.priority > kConntrackPriority) tracked_ = true;
    // nf_nat_inet_fn: only the first packet of a connection, and only until one chain has decided.
    const bool of_source = hook == Hook::kInput || hook == Hook::kPostrouting;
    if (hooked.nat && (true_state_ != kStateNew || untracked_ || nat_settled_[of_source ? 1 : 0])) continue;
    walk_.packet.state = untracked_ ? kStateUntracked : tracked_ || bridging_ ? true_state_ : kStateInvalid;
    BaseChain(hooked.ref);
  }
  if (hook != Hook::kIngress && !bridging_) tracked_ = true;
}

void WalkRun::BaseChain(ChainRef ref) {
  const RuleChain& chain = walker_.chain(ref);
  base_ = ref;
  passed_base_ = Match::kNo;
  looking_back_ = open_ = false;
  walk_.path.push_back(ref);
  const std::size_t stops = walk_.stops.size();
  const Match rest = Chain(chain, ref.backend, alive_);
  if (rest != Match::kNo) {
    if (chain.policy == Verdict::kDrop) {
      Stop(Verdict::kDrop, std::nullopt, rest, {});
    } else {
      passed_base_ = Either(passed_base_, rest);
    }
  }
  const bool stopped = walk_.stops.size() > stops;
  if (stopped) {
    alive_ = passed_base_ == Match::kNo ? Match::kNo : Match::kMaybe;
  } else if (open_) {
    alive_ = Both(alive_, Match::kMaybe);
  }
}

Match WalkRun::Chain(const RuleChain& chain, RuleBackend backend, Match reached) {
  const std::vector<Rule>& rules = walker_.snapshot_.backends.at(backend).ruleset->rules;
  const std::size_t ends_before = ends_;
  Flow flow{reached, Match::kNo};
  for (std::size_t i = chain.first_rule; i < chain.first_rule + chain.rule_count; ++i) {
    if (flow.alive == Match::kNo && !looking_back_) break;
    if (++steps_ > PacketWalker::kStepsMax) {
      walk_.cut_short = true;
      return Both(reached, Match::kMaybe);
    }
    const Rule& rule = rules[i];
    const RuleRef ref{backend, i};
    Answer answer = walker_.matcher_.Conditions(rule, walk_.packet);
    if (answer.match == Match::kNo) continue;
    if (looking_back_) {
      // Only certain matches count here, and a chain ends as usual.
      if (answer.match != Match::kYes || !rule.limits.empty() || walk_.late_accept) continue;
      Take(rule, ref, rule.verdict, rule.jump_target, answer, flow);
      if (rule.verdict == Verdict::kReturn || rule.by_goto) break;
      continue;
    }
    if (!rule.limits.empty()) {
      walk_.limited.push_back(ref);
      const Limits matching = rule.limits.front().matches_above ? Limits::kReached : Limits::kWithin;
      if (routing_.limits == Limits::kNotKnown) {
        answer = Both(answer, Why::kLimit);
      } else if (routing_.limits != matching) {
        continue;
      }
    }
    const bool matters = rule.takes_over || (rule.verdict != Verdict::kContinue && rule.verdict != Verdict::kLog);
    if (answer.match == Match::kMaybe && matters && explains_) NotTold(ref, WordsOf(answer, rule.not_understood));
    SideEffects(rule, ref, answer.match);
    if (!rule.map.empty() || rule.verdict == Verdict::kMap) {
      TakeMap(rule, ref, answer, flow);
    } else {
      Take(rule, ref, rule.verdict, rule.jump_target, answer, flow);
    }
  }
  if (looking_back_) return Match::kNo;
  if (ends_ == ends_before) return reached;
  return Both(reached, Either(flow.alive, flow.returned));
}

void WalkRun::SideEffects(const Rule& rule, RuleRef ref, Match match) {
  if (rule.mark) {
    std::optional<std::uint32_t>& mark = walk_.packet.mark;
    const bool known = rule.mark->known && match == Match::kYes && (mark || rule.mark->keep == 0);
    mark = known ? std::optional((mark.value_or(0) & rule.mark->keep) ^ rule.mark->flip) : std::nullopt;
  }
  for (const RuleCondition::Kind field : rule.rewrites) Rewrite(field);
  if (rule.zone && !tracked_) {
    walk_.packet.zone = match == Match::kYes ? rule.zone->zone : std::nullopt;
    walk_.zone_by = ref;
  }
  if (!rule.untracks || match != Match::kYes || tracked_) return;
  untracked_ = true;
  walk_.untracked_by = ref;
}

void WalkRun::TakeMap(const Rule& rule, RuleRef ref, const Answer& answer, Flow& flow) {
  if (rule.map.empty()) {  // its elements are unknown
    return Open(ref, "its map could not be read", flow);
  }
  for (const MappedVerdict& mapped : rule.map) {
    const Answer taken = Both(answer, walker_.matcher_.Key(rule, mapped, walk_.packet));
    if (taken.match == Match::kNo) continue;
    if (taken.match == Match::kMaybe && explains_) NotTold(ref, WordsOf(taken, rule.not_understood));
    Take(rule, ref, mapped.verdict, mapped.jump_target, taken, flow);
    if (taken.match == Match::kYes) return;
  }
  const bool read_whole = rule.map_understood || !rule.not_understood.empty();
  if (!read_whole && !looking_back_) Open(ref, "its map could not be read whole", flow);
}

void WalkRun::Take(const Rule& rule, RuleRef ref, Verdict verdict, const std::string& jump_target, const Answer& answer,
                   Flow& flow) {
  const Match match = answer.match;
  // A jump into a chain that only drops counts as a drop, but the walk still reports which of its rules drops.
  if (rule.takes_over) return Accept(ref, match, flow);
  if (verdict == Verdict::kQueue && AllReadersAre(QueueReader::kNone, rule))
    return Take(rule, ref, rule.queue->bypasses ? Verdict::kAccept : Verdict::kDrop, {}, answer, flow);
  if (verdict == Verdict::kQueue && AllReadersAre(QueueReader::kStuck, rule))
    return Take(rule, ref, Verdict::kDrop, {}, answer, flow);
  if (!jump_target.empty())
    return Follow(rule, ref, jump_target, verdict != Verdict::kGoto && !rule.by_goto, answer, flow);
  const auto end = [&] {
    ++ends_;
    flow.alive = match == Match::kYes ? Match::kNo : Both(flow.alive, Match::kMaybe);
  };
  switch (verdict) {
    case Verdict::kAccept: return Accept(ref, match, flow);
    case Verdict::kDrop:
    case Verdict::kReject:
      if (looking_back_) return;
      Stop(verdict, ref, Both(flow.alive, match), Both(answer, jumped_));
      end();
      looking_back_ = explains_ && flow.alive == Match::kNo && flow.returned == Match::kNo;
      return;
    case Verdict::kReturn:
      flow.returned = Either(flow.returned, Both(flow.alive, match));
      flow.alive = match == Match::kYes ? Match::kNo : Both(flow.alive, Match::kMaybe);
      return;
    case Verdict::kNat: return Nat(rule, ref, match, flow);
    case Verdict::kQueue:
    case Verdict::kOther:
    case Verdict::kMap:
      if (looking_back_) return;
      return Open(ref, verdict == Verdict::kQueue ? "a program decides (queue)" : "its target is not known", flow);
    case Verdict::kJump:
    case Verdict::kGoto:
    case Verdict::kContinue:
    case Verdict::kLog: return;
  }
}

bool WalkRun::AllReadersAre(QueueReader kind, const Rule& rule) const {
  if (!rule.queue || !routing_.reader_of) return false;
  for (std::uint32_t queue = rule.queue->numbers.first; queue <= rule.queue->numbers.last; ++queue) {
    if (routing_.reader_of(queue) != kind) return false;
  }
  return true;
}

void WalkRun::Accept(RuleRef ref, Match match, Flow& flow) {
  if (looking_back_) {
    walk_.late_accept = Decision{Verdict::kAccept, Match::kYes, {}, base_, ref, jumps_};
    return;
  }
  ++ends_;
  passed_base_ = Either(passed_base_, Both(flow.alive, match));
  flow.alive = match == Match::kYes ? Match::kNo : Both(flow.alive, Match::kMaybe);
}

void WalkRun::Follow(const Rule& rule, RuleRef ref, const std::string& target, bool and_return, const Answer& answer,
                     Flow& flow) {
  const Match match = answer.match;
  const RuleChain* chain = walker_.ChainNamed(ref.backend, rule.family, rule.table, target);
  if (chain == nullptr || std::ssize(jumps_) >= kJumpsMax) {
    return Open(ref, chain == nullptr ? "it leads to a chain that was not read" : "it leads too deep", flow);
  }
  const bool was_looking_back = looking_back_;
  const std::size_t ends_before = ends_;
  const Answer jumped = std::exchange(jumped_, Both(jumped_, answer));
  jumps_.push_back(ref);
  const Match back = Chain(*chain, ref.backend, Both(flow.alive, match));
  jumps_.pop_back();
  jumped_ = jumped;
  if (was_looking_back) return;
  // It was stopped in there only if it entered; and no packet returns from a goto.
  if (looking_back_ && (match != Match::kYes || !and_return)) looking_back_ = false;
  if (!and_return) {
    flow.returned = Either(flow.returned, back);
    flow.alive = match == Match::kYes ? Match::kNo : Both(flow.alive, Match::kMaybe);
  } else if (match == Match::kYes) {
    flow.alive = back;
  } else if (ends_ != ends_before) {
    flow.alive = Both(flow.alive, Match::kMaybe);
  }
}

void WalkRun::Open(RuleRef ref, const char* why, Flow& flow) {
  if (explains_) NotTold(ref, why);
  ++ends_;
  open_ = walk_.open = true;
  passed_base_ = Either(passed_base_, Match::kMaybe);
  flow.alive = Both(flow.alive, Match::kMaybe);
}

void WalkRun::Stop(Verdict verdict, std::optional<RuleRef> rule, Match certainty, const Answer& by_itself) {
  walk_.stops.push_back({verdict, certainty, by_itself, base_, rule, jumps_});
}

void WalkRun::NotTold(RuleRef ref, const std::string& why) {
  if (!explains_ || looking_back_ || walk_.unevaluated.size() >= PacketWalker::kUnevaluatedMax) return;
  if (!walk_.unevaluated.empty() && walk_.unevaluated.back().rule == ref) return;
  walk_.unevaluated.push_back({ref, why});
}

}  // namespace conntally
