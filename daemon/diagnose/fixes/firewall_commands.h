// The commands with which a person changes a rule, of whichever tool the rule belongs to, as text; nothing runs them
// here. Texts of rules may hold anything: what becomes a shell's word is quoted. Pure but for FindFirewallTools, which
// reads links in the file system.
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

// Which of its kinds the plain name `iptables` stands for on this host.
struct FirewallTools {
  bool iptables_is_nft = false;
  bool iptables_is_legacy = false;
  std::vector<std::string> missing =
      {};  // owners of rules (see OwnerOf) whose programs are not here, but perhaps on the host around
};
// Owners' programs speak to their daemons or write files of the host: they serve its rules, not those of a namespace
// that was entered.
enum class OwnersServe : std::uint8_t { kTheseRules, kOtherRules };
FirewallTools FindFirewallTools(const std::string& root, OwnersServe owners = OwnersServe::kTheseRules);

// A word as a POSIX shell reads it back.
std::string ShellWord(std::string_view word);
// nft and one argument, which nft takes apart itself.
std::string NftCommand(const std::string& text);
// " -t TABLE", as it follows the name of iptables; empty for the table that it takes by itself.
std::string TableFlag(const std::string& table);

// What nft's grammar takes for a table's, chain's or set's name; the kernel takes anything.
bool IsNftName(std::string_view name);
// Whether the tools take the name of a link as that one link's, and as nothing else: a '*' or '+' at its end stands for
// more, and nft's strings have no escapes.
bool CanNameLink(const std::string& name);
// Whether nft reads the text back between double quotes.
bool FitsNftString(const std::string& text);

// Who writes the rules of this place, and would undo a hand's change: "firewalld", "ufw", "docker", "fail2ban" ...;
// empty: nobody known.
std::string OwnerOf(const FirewallReading& snapshot, RuleBackend backend, RuleFamily family, const std::string& table,
                    const std::string& chain);
// kube-proxy's: a service's address leads to its endpoints alone, and to nobody by itself.
bool RefusesWhatNobodyServes(const Rule& rule);

class FirewallCommands {
 public:
  FirewallCommands(const PacketWalker& walker, FirewallTools tools)
      : walker_(walker), tools_(std::move(tools)), matcher_(walker.matcher()) {}

  // The same commands for other rules than those that were read: for what a command before has made of them.
  FirewallCommands On(const PacketWalker& rules) const { return {rules, tools_}; }

  // "iptables-nft", "ip6tables", "nft" ...
  std::string ToolOf(RuleBackend backend, RuleFamily family, const std::string& table) const;
  // Where a rule stands, as the tool shows it, and its text.
  std::string Place(RuleRef rule) const;
  std::string Place(const RuleChain& chain) const;

  // Every command that lets packets through is made here, and by AcceptOfPacket and AcceptOfAnswers alone: it names the
  // packet's source and all that the rule asks which stops it, and stands before that rule; or there is none, and the
  // error says why.
  Result<Fix> Accept(const Decision& stop, const Packet& packet) const;
  // Packets of all connections that were let in; and those of this one's alone.
  Result<Fix> AcceptAnswers(const Decision& stop, const Packet& packet) const;
  Result<Fix> AcceptAnswersTo(const Decision& stop, const Packet& packet) const;
  // First packets of connections past a rule with a limit that lets them pass while they are within it, as all that is
  // behind it does.
  Result<Fix> AcceptBeyondLimit(const Decision& limit, const Packet& packet) const;
  // IPv6's neighbour discovery by one link, of its neighbours (their addresses) or to them: it opens no port, and no
  // router passes it on.
  Result<Fix> AcceptDiscovery(const Decision& stop, const std::string& link, bool leaves,
                              const std::vector<IpAddress>& neighbours) const;
  // What lets the packet through where the decision stops it, the narrowest first; in words what is to be decided,
  // where no command can.
  void LetThrough(const Decision& stop, const Packet& packet, Finding& finding) const;

  // Translates what comes from `source` and leaves by `out`, after all that the chain of postrouting does.
  Result<Fix> Masquerade(const RuleChain& chain, const IpAddress& source, const std::string& out,
                         std::string risk) const;
  // Of a rule that lets nobody through by being gone.
  Result<Fix> Delete(RuleRef rule, std::string risk) const;
  std::string Persist(RuleBackend backend, RuleFamily family, const std::string& table) const;

 private:
  // Where a new rule meets what the decision would stop: before a rule, or at the end of a chain.
  struct Spot {
    const RuleChain* chain = nullptr;
    std::optional<RuleRef> before;
  };
  Result<Spot> SpotOf(const Decision& stop, const Packet& packet) const;
  Result<Spot> EndOf(const RuleChain& base, const Packet& packet) const;
  const Rule* RuleAt(const Spot& spot) const { return spot.before ? &walker_.rule(*spot.before) : nullptr; }
  Result<Fix> Put(const Spot& spot, const std::vector<RuleCondition>& conditions, Family family,
                  std::string risk) const;
  Fix PutText(const Spot& spot, const std::string& text, std::string risk) const;
  // The owner's own commands, when the place has one that has such.
  std::vector<Fix> ByOwner(const std::string& owner, const Decision& stop, const Packet& packet) const;
  ChainRef RefOf(const RuleChain& chain) const;
  bool ByIptables(RuleBackend backend, RuleFamily family, const std::string& table) const;

  const PacketWalker& walker_;
  FirewallTools tools_;
  const ConditionMatcher& matcher_;
};

}  // namespace conntally::diagnose
