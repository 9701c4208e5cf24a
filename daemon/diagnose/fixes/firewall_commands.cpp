#include "daemon/diagnose/fixes/firewall_commands.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

namespace conntally::diagnose {
namespace {

// The words of an iptables-save line: some in double quotes, with backslashes before quotes and backslashes.
std::vector<std::string> WordsOf(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      word += line[++i];
      any = true;
    } else if (line[i] == '"') {
      quoted = !quoted;
      any = true;
    } else if (line[i] == ' ' && !quoted) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += line[i];
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

std::string ShellLine(std::string_view saved) {
  std::string line;
  for (const std::string& word : WordsOf(saved)) line += (line.empty() ? "" : " ") + ShellWord(word);
  return line;
}

std::string NftChain(const Rule& rule) { return fmt::format("{} {} {}", NameOf(rule.family), rule.table, rule.chain); }

// Whether nft parses the rule's text as the same rule, whatever names it contains.
bool NftReadsBack(const Rule& rule) {
  const bool asks_so = std::all_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& each) {
    return IsNftName(each.set) && std::all_of(each.interfaces.begin(), each.interfaces.end(), FitsNftString);
  });
  return asks_so && IsNftName(rule.jump_target) && FitsNftString(rule.comment) && FitsNftString(rule.log_prefix);
}

}  // namespace

FirewallTools FindFirewallTools(const std::string& root, OwnersServe owners) {
  // Step by step, since links have absolute paths within the root.
  std::filesystem::path path = "/usr/sbin/iptables";
  std::error_code error;
  for (int step = 0; step < 8; ++step) {
    const auto target = std::filesystem::read_symlink(root + path.string(), error);
    if (error) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  const std::string name = path.filename().string();
  FirewallTools tools{name == "iptables-nft" || name == "xtables-nft-multi",
                      name == "iptables-legacy" || name == "xtables-legacy-multi",
                      {}};
  constexpr std::pair<const char*, const char*> kOwners[] = {
      {"ufw", "/usr/sbin/ufw"}, {"firewalld", "/usr/bin/firewall-cmd"}, {"fail2ban", "/usr/bin/fail2ban-client"}};
  for (const auto& [owner, program] : kOwners) {
    if (owners == OwnersServe::kOtherRules || !std::filesystem::exists(root + program, error))
      tools.missing.emplace_back(owner);
  }
  return tools;
}

std::string ShellWord(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._:/,@=+%!-").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// One argument, which nft parses itself; unquoted if it has no shell metacharacter.
std::string NftCommand(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" ._:/,@-").find(c) != std::string_view::npos;
  });
  return "nft " + (plain ? text : ShellWord(text));
}

std::string TableFlag(const std::string& table) {
  return table == "filter" ? std::string() : " -t " + ShellWord(table);
}

bool IsNftName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./-").find(c) != std::string_view::npos;
  });
}

bool FitsNftString(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char letter) {
    return letter == '"' || letter == '\\' || (letter >= 0 && letter < ' ') || letter == 0x7f;
  });
}

bool CanNameLink(const std::string& name) {
  if (name.empty() || name.ends_with('*') || name.ends_with('+')) return false;
  return !name.starts_with('-') && !name.starts_with('!') && FitsNftString(name);
}

std::string OwnerOf(const FirewallReading& snapshot, RuleBackend backend, RuleFamily family, const std::string& table,
                    const std::string& chain) {
  const auto of_chain = [](const std::string& name) -> std::string {
    if (name.starts_with("ufw-") || name.starts_with("ufw6-")) return "ufw";
    if (name.starts_with("DOCKER")) return "docker";
    if (name.starts_with("f2b-")) return "fail2ban";
    if (name.starts_with("KUBE-")) return "kubernetes";
    if (name.starts_with("cali-")) return "calico";
    if (name.starts_with("CILIUM_")) return "cilium";
    if (name.starts_with("CNI-") || name.starts_with("NETAVARK")) return "podman or CNI";
    for (const char* of_csf :
         {"LOCALINPUT", "LOCALOUTPUT", "DENYIN", "DENYOUT", "LOGDROPIN", "LOGDROPOUT", "INVDROP"}) {
      if (name == of_csf) return "csf";
    }
    if (name == "net-fw" || name == "net2fw" || name == "smurfs") return "shorewall";
    if (name.starts_with("LIBVIRT_")) return "libvirt";
    if (name == "nixos-fw") return "nixos";
    return {};
  };
  if (table == "firewalld") return "firewalld";
  if (table == "f2b-table") return "fail2ban";
  if (table == "kube-proxy") return "kubernetes";
  if (table == "docker-bridges") return "docker";
  if (table == "libvirt_network") return "libvirt";
  if (std::string owner = of_chain(chain); !owner.empty()) return owner;
  // ufw also owns the built-in chains and their policies.
  const auto one = snapshot.backends.find(backend);
  if (one == snapshot.backends.end() || !one->second.ruleset) return {};
  for (const RuleChain& other : one->second.ruleset->chains) {
    if (other.family == family && other.table == table && other.name.starts_with("ufw")) return "ufw";
  }
  return {};
}

bool FirewallCommands::ByIptables(RuleBackend backend, RuleFamily family, const std::string& table) const {
  if (backend != RuleBackend::kNftables) return true;
  const auto one = walker_.snapshot().backends.find(backend);
  if (one == walker_.snapshot().backends.end() || !one->second.ruleset) return false;
  const auto& ruleset = one->second.ruleset;
  return std::any_of(ruleset->tables.begin(), ruleset->tables.end(), [&](const RuleTable& each) {
    return each.family == family && each.name == table && each.by_iptables;
  });
}

std::string FirewallCommands::ToolOf(RuleBackend backend, RuleFamily family, const std::string& table) const {
  const std::string name = family == RuleFamily::kIp6 ? "ip6tables" : "iptables";
  if (backend != RuleBackend::kNftables) return tools_.iptables_is_legacy ? name : name + "-legacy";
  if (!ByIptables(backend, family, table)) return "nft";
  return tools_.iptables_is_nft ? name : name + "-nft";
}

std::string FirewallCommands::Place(RuleRef ref) const {
  const Rule& rule = walker_.rule(ref);
  std::string place = fmt::format("{}, table {} {}, chain {}, line {}", NameOf(rule.backend), NameOf(rule.family),
                                  rule.table, rule.chain, rule.position + 1);
  if (rule.handle != 0) place += fmt::format(", handle {}", rule.handle);
  return place + ": " + rule.text;
}

std::string FirewallCommands::Place(const RuleChain& chain) const {
  return fmt::format("{}, table {} {}, chain {}: policy {}", NameOf(chain.backend), NameOf(chain.family), chain.table,
                     chain.name, NameOf(chain.policy));
}

std::string FirewallCommands::Persist(RuleBackend backend, RuleFamily family, const std::string& table) const {
  const std::string tool = ToolOf(backend, family, table);
  if (tool == "nft") return "write it into /etc/nftables.conf (all that is in force now: nft list ruleset)";
  const bool ipv6 = family == RuleFamily::kIp6;
  return fmt::format("{}-save > /etc/iptables/rules.v{} (netfilter-persistent loads it)", tool, ipv6 ? 6 : 4);
}

ChainRef FirewallCommands::RefOf(const RuleChain& chain) const {
  const std::vector<RuleChain>& chains = walker_.snapshot().backends.at(chain.backend).ruleset->chains;
  return {chain.backend, static_cast<std::size_t>(&chain - chains.data())};
}

Result<Fix> FirewallCommands::Delete(RuleRef ref, std::string risk) const {
  const Rule& rule = walker_.rule(ref);
  const RuleChain* chain = walker_.ChainNamed(rule.backend, rule.family, rule.table, rule.chain);
  Fix fix;
  fix.risk = std::move(risk);
  fix.persist = Persist(rule.backend, rule.family, rule.table);
  if (chain != nullptr) fix.edits = {{RuleEdit::Kind::kDelete, RefOf(*chain), ref, {}}};
  const std::string tool = ToolOf(rule.backend, rule.family, rule.table);
  if (tool == "nft") {
    if (!IsNftName(rule.table) || !IsNftName(rule.chain)) return Error{"nft has no words for the name of its chain"};
    fix.command = NftCommand(fmt::format("delete rule {} handle {}", NftChain(rule), rule.handle));
    if (!NftReadsBack(rule)) return fix;
    const bool last = chain == nullptr || rule.position + 1 >= chain->rule_count;
    fix.undo = last ? NftCommand(fmt::format("add rule {} {}", NftChain(rule), rule.text))
                    : NftCommand(fmt::format("insert rule {} handle {} {}", NftChain(rule),
                                             walker_.rule({ref.backend, ref.rule + 1}).handle, rule.text));
    return fix;
  }
  fix.command = fmt::format("{}{} -D {} {}", tool, TableFlag(rule.table), ShellWord(rule.chain), rule.position + 1);
  fix.undo = fmt::format("{}{} -I {} {} {}", tool, TableFlag(rule.table), ShellWord(rule.chain), rule.position + 1,
                         ShellLine(rule.text));
  return fix;
}

}  // namespace conntally::diagnose
