// The state of one packet's walk. Users only need packet_walk.h. One thread.
#pragma once

#include <vector>

#include "collectors/rules/walk/chain_graph.h"
#include "collectors/rules/walk/packet_walk.h"

namespace conntally {

class WalkRun {
 public:
  WalkRun(const PacketWalker& walker, Packet packet, const WalkRouting& routing);
  Walk Arrives();
  Walk Leaves();
  Walk Bridged(bool meets_ip_rules);
  Walk In(ChainRef base);

 private:
  using Hook = PacketWalker::Hook;

  void ThroughHook(Hook hook);
  void ThroughBridge(Hook hook);
  void BaseChain(ChainRef ref);
  // How certainly the packet returns from the chain, if it enters it as certainly as `reached`.
  Match Chain(const RuleChain& chain, RuleBackend backend, Match reached);
  // The effect of one rule. `alive`: how certainly the packet continues with the next rule.
  struct Flow {
    Match alive = Match::kYes;
    Match returned = Match::kNo;  // to the caller of the chain
  };
  void Take(const Rule& rule, RuleRef ref, Verdict verdict, const std::string& jump_target, const Answer& answer,
            Flow& flow);
  void TakeMap(const Rule& rule, RuleRef ref, const Answer& answer, Flow& flow);
  void Follow(const Rule& rule, RuleRef ref, const std::string& target, bool and_return, const Answer& answer,
              Flow& flow);
  void Stop(Verdict verdict, std::optional<RuleRef> rule, Match certainty, const Answer& by_itself);
  // The rule may do anything with the packet.
  void Open(RuleRef ref, const char* why, Flow& flow);
  void Accept(RuleRef ref, Match match, Flow& flow);
  // Whether all queues of the rule have such a reader.
  bool AllReadersAre(QueueReader kind, const Rule& rule) const;
  void Rewrite(RuleCondition::Kind field);
  void Nat(const Rule& rule, RuleRef ref, Match match, Flow& flow);
  // The translation by a fully known map; nullptr: none; nullopt: unknown.
  std::optional<const NatTarget::Choice*> Chosen(const Rule& rule) const;
  void ChangeSource(const NatTarget& target);
  void ChangeDestination(const NatTarget& target);
  void SideEffects(const Rule& rule, RuleRef ref, Match match);
  void NotTold(RuleRef ref, const std::string& why);
  bool OfFamily(RuleFamily family) const;
  bool IsOfDevice(const RuleChain& chain) const;
  void Route();
  Walk Finish();

  const PacketWalker& walker_;
  const WalkRouting& routing_;
  Walk walk_;
  std::optional<PacketInterface> meant_out_;  // as the caller gave it
  Match alive_ = Match::kYes;                 // whether the packet reached the present base chain
  Hook hook_ = Hook::kPrerouting;
  ChainRef base_;
  Match passed_base_ = Match::kNo;  // whether the present base chain accepts it
  bool open_ = false;               // some rule of this base chain has an unknown effect
  std::vector<RuleRef> jumps_;
  Answer jumped_;  // whether the packet takes all the jumps
  bool explains_ = true;
  bool looking_back_ = false;  // the packet was stopped: searching the rest for a rule that would have accepted it
  bool bridging_ = false;      // it is at hooks of the bridge family
  bool tracked_ = false;       // conntrack has seen it
  bool untracked_ = false;
  bool nat_settled_[2] = {false, false};  // destination, source: the kernel consults no further nat chain
  std::uint32_t true_state_ = kStateNew;
  std::size_t ends_ = 0;  // ends met in chains so far: to see whether a chain had any
  std::size_t steps_ = 0;
};

}  // namespace conntally
