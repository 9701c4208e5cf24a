// One packet on its way: the state of a walk (packet_walk.h), which is all that its users need. One thread.
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
  // How certainly the packet comes back from the chain, when it comes into it as certainly as `reached`.
  Match Chain(const RuleChain& chain, RuleBackend backend, Match reached);
  // What one rule makes of it. `alive`: how certainly the packet goes on to the next rule.
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
  // The rule may do anything with it.
  void Open(RuleRef ref, const char* why, Flow& flow);
  void Accept(RuleRef ref, Match match, Flow& flow);
  // Of all queues that the rule leads to.
  bool AllReadersAre(QueueReader kind, const Rule& rule) const;
  void Nat(const Rule& rule, RuleRef ref, Match match, Flow& flow);
  // By a map of which all is known: what it makes of the packet, nullptr if nothing; nullopt: not known.
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
  std::optional<PacketInterface> meant_out_;  // as the caller said
  Match alive_ = Match::kYes;                 // that the packet got to the present base chain
  Hook hook_ = Hook::kPrerouting;
  ChainRef base_;
  Match passed_base_ = Match::kNo;  // that the present base chain lets it pass
  bool open_ = false;               // some rule of it may do anything with the packet
  std::vector<RuleRef> jumps_;
  Answer jumped_;  // whether the packet takes all of the jumps
  bool explains_ = true;
  bool looking_back_ = false;  // the packet was stopped: the rest is looked at for a rule that would have accepted it
  bool bridging_ = false;      // it is at hooks of the bridge family
  bool tracked_ = false;       // conntrack has seen it
  bool untracked_ = false;
  bool nat_settled_[2] = {false, false};  // destination, source: the kernel asks no further nat chain
  std::uint32_t true_state_ = kStateNew;
  std::size_t ends_ = 0;  // of walks through chains, as they were met: to see whether one had any
  std::size_t steps_ = 0;
};

}  // namespace conntally
