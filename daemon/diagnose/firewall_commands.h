// The commands with which a person changes a rule, of whichever tool the rule belongs to, as text; nothing runs them here. Texts of rules
// may hold anything: what becomes a shell's word is quoted. Pure but for FindFirewallTools, which reads links in the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collectors/rules/walk/packet_walk.h"
#include "daemon/diagnose/finding.h"

namespace conntally::diagnose {

// Which of its kinds the plain name `iptables` stands for on this host.
struct FirewallTools {
  bool iptables_is_nft = false;
  bool iptables_is_legacy = false;
  std::vector<std::string> missing = {};  // owners of rules (see OwnerOf) whose programs are not here, but perhaps on the host around
};
FirewallTools FindFirewallTools(const std::string& root);

// A word as a POSIX shell reads it back.
std::string ShellWord(std::string_view word);

// Who writes the rules of this place, and would undo a hand's change: "firewalld", "ufw", "docker", "fail2ban" ...; empty: nobody known.
std::string OwnerOf(const RuleSnapshot& snapshot, RuleBackend backend, RuleFamily family, const std::string& table, const std::string& chain);

class FirewallCommands {
 public:
  FirewallCommands(const PacketWalker& walker, FirewallTools tools) : walker_(walker), tools_(tools) {}

  // "iptables-nft", "ip6tables", "nft" ...
  std::string ToolOf(RuleBackend backend, RuleFamily family, const std::string& table) const;
  // Where a rule stands, as the tool shows it, and its text.
  std::string Place(RuleRef rule) const;
  std::string Place(const RuleChain& chain) const;
  // The text that takes such packets, without a verdict; for iptables or for nft.
  static std::string Matching(const Packet& packet, bool for_nft);

  // What lets the packet through where the decision stops it, the mildest first.
  std::vector<Fix> LetThrough(const Decision& stop, const Packet& packet) const;
  // Moves the late rule before the one that stops the packet.
  Fix MoveBefore(RuleRef late, const Decision& stop) const;
  // Puts a rule of this text (without chain) before the decision, or at the top of the chain.
  Fix InsertBefore(const Decision& stop, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const;
  Fix InsertFirst(const RuleChain& chain, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const;
  Fix Append(const RuleChain& chain, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const;
  Fix Delete(RuleRef rule, std::string risk) const;
  // The owner's own commands, when the place has one that has such.
  std::vector<Fix> ByOwner(const std::string& owner, const Decision& stop, const Packet& packet) const;
  std::string Persist(RuleBackend backend, RuleFamily family, const std::string& table) const;

 private:
  Fix IntoChain(const RuleChain& chain, bool first, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const;
  bool ByIptables(RuleBackend backend, RuleFamily family, const std::string& table) const;

  const PacketWalker& walker_;
  FirewallTools tools_;
};

}  // namespace conntally::diagnose
