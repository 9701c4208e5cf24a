// How NAT changes a packet during a walk.
#include "collectors/rules/walk/walk_run.h"

namespace conntally {

void WalkRun::Nat(const Rule& rule, RuleRef ref, Match match, Flow& flow) {
  if (looking_back_) return;
  NatTarget target = rule.nat.value_or(NatTarget{});
  if (!target.known && !target.choices.empty()) {
    const auto chosen = Chosen(rule);
    if (chosen && *chosen == nullptr) return;  // not in the map: the rule does not match
    if (chosen) target = {target.kind, (*chosen)->addresses, (*chosen)->ports, true, {}};
  }
  const bool of_source = target.kind == NatTarget::Kind::kSource || target.kind == NatTarget::Kind::kMasquerade;
  const bool understood = target.kind != NatTarget::Kind::kOther && match == Match::kYes;
  // After rules that choose a destination at random, the last one takes the rest: it represents all of them.
  const bool last_of_several = !of_source && walk_.destination_nat_open;
  const bool known = understood && (flow.alive == Match::kYes || last_of_several);
  if (!known && match == Match::kYes) NotTold(ref, "what it makes of addresses is not known");
  if (of_source) {
    if (known) {
      walk_.source_nat = ref;
      if (walk_.packet.status) *walk_.packet.status |= kStatusSourceNat;
      ChangeSource(target);
    } else {
      walk_.source_nat_open = true;
      walk_.packet.source.reset();  // it may be another from here on
      walk_.packet.source_is_local.reset();
    }
    nat_settled_[1] = nat_settled_[1] || known;
  } else if (known) {
    walk_.destination_nat = ref;
    nat_settled_[0] = true;
    if (walk_.packet.status || last_of_several)
      walk_.packet.status = walk_.packet.status.value_or(0) | kStatusDestinationNat;
    ChangeDestination(target);
  } else {
    walk_.destination_nat_open = true;
    walk_.packet.destination.reset();  // it may be another from here on
    walk_.packet.destination_port.reset();
    walk_.packet.status.reset();
  }
  ++ends_;  // NAT accepts the packet
  passed_base_ = Either(passed_base_, Both(flow.alive, match));
  flow.alive = match == Match::kYes ? Match::kNo : Both(flow.alive, Match::kMaybe);
}

// What the rule writes is not known.
void WalkRun::Rewrite(RuleCondition::Kind field) {
  Packet& packet = walk_.packet;
  switch (field) {
    case RuleCondition::Kind::kSource:
      packet.source.reset();
      packet.source_is_local.reset();
      [[fallthrough]];
    case RuleCondition::Kind::kSourcePort:
      packet.source_port.reset();
      walk_.source_nat_open = true;
      return;
    case RuleCondition::Kind::kDestination:
      packet.destination.reset();
      packet.destination_is_local.reset();
      [[fallthrough]];
    case RuleCondition::Kind::kDestinationPort:
      packet.destination_port.reset();
      walk_.destination_nat_open = true;
      return;
    default: return;
  }
}

std::optional<const NatTarget::Choice*> WalkRun::Chosen(const Rule& rule) const {
  for (const NatTarget::Choice& choice : rule.nat->choices) {
    Match match = choice.key.empty() ? Match::kMaybe : Match::kYes;
    for (const RuleCondition& condition : choice.key)
      match = Both(match, walker_.matcher_.Condition(rule, condition, walk_.packet).match);
    if (match == Match::kMaybe) return std::nullopt;
    if (match == Match::kYes) return &choice;
  }
  return nullptr;
}

// Later rules see the new address. The kernel keeps the port if possible.
void WalkRun::ChangeSource(const NatTarget& target) {
  Packet& packet = walk_.packet;
  if (target.kind == NatTarget::Kind::kMasquerade) {
    packet.source = packet.out && routing_.address_of ? routing_.address_of(*packet.out, packet.family) : std::nullopt;
  } else if (target.addresses) {
    const bool one = target.addresses->first == target.addresses->last;
    packet.source = one ? std::optional(target.addresses->first) : std::nullopt;
  } else if (!target.known) {
    packet.source.reset();
  }
  packet.source_is_local =
      packet.source && routing_.is_local ? routing_.is_local(*packet.source) : std::optional<bool>();
  if (target.ports || !target.known) packet.source_port = target.ports;
}

void WalkRun::ChangeDestination(const NatTarget& target) {
  Packet& packet = walk_.packet;
  if (target.kind == NatTarget::Kind::kRedirect) {
    packet.destination_is_local = true;
    packet.destination.reset();  // the interface's first address
    if (hook_ == Hook::kOutput) {
      packet.destination = IpAddress::Parse(packet.family == Family::kIpv4 ? "127.0.0.1" : "::1");
    }
  } else if (target.addresses) {
    packet.destination =
        target.addresses->first == target.addresses->last ? std::optional(target.addresses->first) : std::nullopt;
    const IpAddress& any = target.addresses->first;
    if (routing_.is_local) packet.destination_is_local = routing_.is_local(any);
  } else if (!target.known) {
    packet.destination.reset();
  }
  if (target.ports) packet.destination_port = target.ports;
  if (!target.known) packet.destination_port.reset();
}

}  // namespace conntally
