// The commands with which a person changes a rule, for the tool that the rule belongs to, as text; they are not run
// here. Rules may contain any text, so every shell word is quoted. Pure, except for FindFirewallTools, which reads
// links in the file system.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/rules/walk/packet_walk.h"
#include "collectors/system/result.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// Which variant the plain name `iptables` is on this host.
struct FirewallTools {
  bool iptables_is_nft = false;
  bool iptables_is_legacy = false;
  std::vector<std::string> missing =
      {};  // owners of rules (see OwnerOf) whose programs are not in this namespace, but perhaps on the host
};
// An owner's program talks to its daemon or writes files of the host: it manages the host's rules, not those of an
// entered namespace.
enum class OwnersServe : std::uint8_t { kTheseRules, kOtherRules };
FirewallTools FindFirewallTools(const std::string& root, OwnersServe owners = OwnersServe::kTheseRules);

// The word, quoted for a POSIX shell.
std::string ShellWord(std::string_view word);
// nft with one argument, which nft parses itself.
std::string NftCommand(const std::string& text);
// " -t TABLE" for iptables; empty for the default table.
std::string TableFlag(const std::string& table);

// Whether nft's grammar accepts it as the name of a table, chain or set; the kernel accepts any name.
bool IsNftName(std::string_view name);
// Whether the tools read the name as exactly this link: a trailing '*' or '+' is a wildcard, and nft's strings have no
// escapes.
bool CanNameLink(const std::string& name);
// Whether the text can be an nft string in double quotes.
bool FitsNftString(const std::string& text);

// The program that writes these rules and would undo a manual change: "firewalld", "ufw", "docker", "fail2ban" ...;
// empty: none known.
std::string OwnerOf(const FirewallReading& snapshot, RuleBackend backend, RuleFamily family, const std::string& table,
                    const std::string& chain);
// A rule of kube-proxy that refuses a service without endpoints: a service's own address belongs to no host.
bool RefusesWhatNobodyServes(const Rule& rule);

class FirewallCommands {
 public:
  FirewallCommands(const PacketWalker& walker, FirewallTools tools)
      : walker_(walker), tools_(std::move(tools)), matcher_(walker.matcher()) {}

  // The same commands for other rules: the rules after an earlier command.
  FirewallCommands On(const PacketWalker& rules) const { return {rules, tools_}; }

  // "iptables-nft", "ip6tables", "nft" ...
  std::string ToolOf(RuleBackend backend, RuleFamily family, const std::string& table) const;
  // Where a rule is, as the tool shows it, and its text.
  std::string Place(RuleRef rule) const;
  std::string Place(const RuleChain& chain) const;

  // Only these functions, by AcceptOfPacket and AcceptOfAnswers, make commands that accept packets. The new rule names
  // the packet's source and all conditions of the stopping rule, and is inserted before it; if that is not possible,
  // the error says why.
  Result<Fix> Accept(const Decision& stop, const Packet& packet) const;
  // Accepts packets of all accepted connections; the second, only of this packet's connection.
  Result<Fix> AcceptAnswers(const Decision& stop, const Packet& packet) const;
  Result<Fix> AcceptAnswersTo(const Decision& stop, const Packet& packet) const;
  // Accepts first packets of connections beyond a rule's limit. Only for a packet that passes within the limit and that
  // all later rules accept.
  Result<Fix> AcceptBeyondLimit(const Decision& limit, const Packet& packet) const;
  // Accepts IPv6 neighbour discovery on one link, from its neighbours or to them. It opens no port, and no router
  // forwards it.
  Result<Fix> AcceptDiscovery(const Decision& stop, const std::string& link, bool leaves,
                              const std::vector<IpAddress>& neighbours) const;
  // Adds to the finding the fixes that accept the packet where the decision stops it, the narrowest first; or, if no
  // command can, what a person must decide.
  void LetThrough(const Decision& stop, const Packet& packet, Finding& finding) const;

  // Translates such packets (OfLeaving), ahead of the postrouting chain's rules.
  Result<Fix> Masquerade(const RuleChain& chain, const Packet& packet, const std::string& out, std::string risk) const;
  // Deletes a rule whose absence accepts no packet.
  Result<Fix> Delete(RuleRef rule, std::string risk) const;
  std::string Persist(RuleBackend backend, RuleFamily family, const std::string& table) const;

 private:
  // Where a new rule must be so that it sees the packet before the decision: before a rule, or at the end of a chain.
  struct Spot {
    const RuleChain* chain = nullptr;
    std::optional<RuleRef> before;
  };
  Result<Spot> SpotOf(const Decision& stop, const Packet& packet) const;
  Result<Spot> EndOf(const RuleChain& base, const Packet& packet) const;
  const Rule* RuleAt(const Spot& spot) const { return spot.before ? &walker_.rule(*spot.before) : nullptr; }
  Result<Fix> Put(const Spot& spot, const std::vector<RuleCondition>& conditions, Family family,
                  std::string risk) const;
  RuleEdit EditAt(const Spot& spot, const std::string& text, std::vector<RuleCondition> conditions) const;
  Fix PutText(const Spot& spot, const std::string& text, std::string risk) const;
  // The owner's own commands, if the rules have an owner with such commands.
  std::vector<Fix> ByOwner(const std::string& owner, const Decision& stop, const Packet& packet) const;
  ChainRef RefOf(const RuleChain& chain) const;
  bool ByIptables(RuleBackend backend, RuleFamily family, const std::string& table) const;

  const PacketWalker& walker_;
  FirewallTools tools_;
  const ConditionMatcher& matcher_;
};

}  // namespace conntally::diagnose
