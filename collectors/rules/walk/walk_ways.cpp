// The hooks that a packet passes, in order: for arriving, leaving and bridged packets.
#include <utility>

#include "collectors/rules/walk/walk_run.h"

namespace conntally {

// Bridge rules see ports, which are unknown here.
void WalkRun::ThroughBridge(Hook hook) {
  if (alive_ == Match::kNo || walker_.bridge_hooks_[hook].empty()) return;
  Packet& packet = walk_.packet;
  auto in = std::exchange(packet.in, std::nullopt), out = std::exchange(packet.out, std::nullopt);
  bridging_ = true;
  ThroughHook(hook);
  bridging_ = false;
  if (alive_ == Match::kNo) return;
  packet.in = std::move(in);
  packet.out = std::move(out);
}

Walk WalkRun::Bridged(bool meets_ip_rules) {
  walk_.forwarded = true;
  walk_.packet.out = walk_.packet.in;
  for (const Hook hook : {Hook::kPrerouting, Hook::kForward, Hook::kPostrouting}) {
    ThroughBridge(hook);
    if (meets_ip_rules) ThroughHook(hook);
  }
  return Finish();
}

Walk WalkRun::Arrives() {
  meant_out_ = std::exchange(walk_.packet.out, PacketInterface{});
  if (walk_.packet.in && walk_.packet.in->bridge) {
    ThroughBridge(Hook::kPrerouting);
    ThroughBridge(Hook::kInput);
  }
  ThroughHook(Hook::kIngress);
  ThroughHook(Hook::kPrerouting);
  Packet& packet = walk_.packet;
  if (packet.destination && routing_.is_local && walk_.destination_nat)
    packet.destination_is_local = routing_.is_local(*packet.destination);
  walk_.forwarded = packet.destination_is_local == false;
  if (!walk_.forwarded) {
    ThroughHook(Hook::kInput);
    return Finish();
  }
  Route();
  ThroughHook(Hook::kForward);
  ThroughHook(Hook::kPostrouting);
  ThroughHook(Hook::kEgress);
  if (packet.out && packet.out->bridge) ThroughBridge(Hook::kOutput), ThroughBridge(Hook::kPostrouting);
  return Finish();
}

Walk WalkRun::Leaves() {
  Packet& packet = walk_.packet;
  packet.in = PacketInterface{};
  if (!packet.out) Route();
  ThroughHook(Hook::kOutput);
  if (walk_.destination_nat) Route();
  ThroughHook(Hook::kPostrouting);
  ThroughHook(Hook::kEgress);
  if (packet.out && packet.out->bridge) ThroughBridge(Hook::kOutput), ThroughBridge(Hook::kPostrouting);
  if (packet.destination_is_local == true) {
    packet.in = std::exchange(packet.out, PacketInterface{});
    nat_settled_[0] = nat_settled_[1] = true;
    ThroughHook(Hook::kIngress);
    ThroughHook(Hook::kPrerouting);
    ThroughHook(Hook::kInput);
  }
  return Finish();
}

Walk WalkRun::In(ChainRef base) {
  explains_ = false;
  BaseChain(base);
  return Finish();
}

void WalkRun::Route() {
  Packet& packet = walk_.packet;
  packet.out = walk_.destination_nat ? std::nullopt : meant_out_;
  if (!packet.destination || packet.out) return;
  if (routing_.is_local) packet.destination_is_local = routing_.is_local(*packet.destination);
  if (routing_.way_out) packet.out = routing_.way_out(packet);
}

Walk WalkRun::Finish() {
  walk_.passes = alive_;
  if (alive_ != Match::kNo) walk_.packet.state = true_state_;
  return std::move(walk_);
}

}  // namespace conntally
