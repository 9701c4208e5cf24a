#include "daemon/diagnose/firewall_commands.h"

#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

namespace conntally::diagnose {
namespace {

// The words of a line as iptables-save writes it: some in double quotes, with backslashes before quotes and backslashes.
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

// One argument, which nft takes apart itself; bare where nothing in it means anything to a shell.
std::string NftCommand(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view(" ._:/,@-").find(c) != std::string_view::npos;
  });
  return "nft " + (plain ? text : ShellWord(text));
}

std::string NftChain(const Rule& rule) { return fmt::format("{} {} {}", NameOf(rule.family), rule.table, rule.chain); }
std::string NftChain(const RuleChain& chain) { return fmt::format("{} {} {}", NameOf(chain.family), chain.table, chain.name); }

// nft deletes by handle alone, which a rule that is yet to be made has none of: the first of this text is it.
std::string DeleteByText(const std::string& chain, const std::string& text) {
  return fmt::format("nft delete rule {0} handle $(nft -a list chain {0} | grep -m1 -F {1} | sed 's/.*# handle //')", chain, ShellWord(text + " # handle"));
}

std::string OfTable(const std::string& table) { return table == "filter" ? std::string() : " -t " + ShellWord(table); }

std::string ProtocolName(std::uint8_t protocol, bool ipv6) {
  switch (protocol) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return ipv6 ? "ipv6-icmp" : "58";
    case IPPROTO_SCTP: return "sctp";
    default: return std::to_string(protocol);
  }
}

// "--zone=public " of firewalld's chains "filter_IN_public", "filter_IN_public_deny" ...; else of the default zone: "".
std::string ZoneOf(std::string chain) {
  constexpr std::string_view kIn = "filter_IN_";
  if (!chain.starts_with(kIn)) return {};
  chain.erase(0, kIn.size());
  for (const std::string_view part : {"_pre", "_log", "_deny", "_allow", "_post"}) {
    if (chain.ends_with(part)) chain.resize(chain.size() - part.size());
  }
  return "--zone=" + ShellWord(chain) + " ";
}

}  // namespace

FirewallTools FindFirewallTools(const std::string& root) {
  // Step by step, since links lead to absolute paths within the root.
  std::filesystem::path path = "/usr/sbin/iptables";
  std::error_code error;
  for (int step = 0; step < 8; ++step) {
    const auto target = std::filesystem::read_symlink(root + path.string(), error);
    if (error) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  const std::string name = path.filename().string();
  FirewallTools tools{name == "iptables-nft" || name == "xtables-nft-multi", name == "iptables-legacy" || name == "xtables-legacy-multi", {}};
  constexpr std::pair<const char*, const char*> kOwners[] = {{"ufw", "/usr/sbin/ufw"}, {"firewalld", "/usr/bin/firewall-cmd"}, {"fail2ban", "/usr/bin/fail2ban-client"}};
  for (const auto& [owner, program] : kOwners) {
    if (!std::filesystem::exists(root + program, error)) tools.missing.emplace_back(owner);
  }
  return tools;
}

std::string ShellWord(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("._:/,@=+%!-").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string OwnerOf(const RuleSnapshot& snapshot, RuleBackend backend, RuleFamily family, const std::string& table, const std::string& chain) {
  const auto of_chain = [](const std::string& name) -> std::string {
    if (name.starts_with("ufw-") || name.starts_with("ufw6-")) return "ufw";
    if (name.starts_with("DOCKER")) return "docker";
    if (name.starts_with("f2b-")) return "fail2ban";
    if (name.starts_with("KUBE-") || name.starts_with("cali-")) return "kubernetes";
    if (name.starts_with("LIBVIRT_")) return "libvirt";
    if (name == "nixos-fw") return "nixos";
    return {};
  };
  if (table == "firewalld") return "firewalld";
  if (table == "f2b-table") return "fail2ban";
  if (std::string owner = of_chain(chain); !owner.empty()) return owner;
  // ufw's built-in chains and their policies are its own, too.
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
  return std::any_of(ruleset->tables.begin(), ruleset->tables.end(),
                     [&](const RuleTable& each) { return each.family == family && each.name == table && each.by_iptables; });
}

std::string FirewallCommands::ToolOf(RuleBackend backend, RuleFamily family, const std::string& table) const {
  const std::string name = family == RuleFamily::kIp6 ? "ip6tables" : "iptables";
  if (backend != RuleBackend::kNftables) return tools_.iptables_is_legacy ? name : name + "-legacy";
  if (!ByIptables(backend, family, table)) return "nft";
  return tools_.iptables_is_nft ? name : name + "-nft";
}

std::string FirewallCommands::Place(RuleRef ref) const {
  const Rule& rule = walker_.rule(ref);
  std::string place = fmt::format("{}, table {} {}, chain {}, line {}", NameOf(rule.backend), NameOf(rule.family), rule.table, rule.chain, rule.position + 1);
  if (rule.handle != 0) place += fmt::format(", handle {}", rule.handle);
  return place + ": " + rule.text;
}

std::string FirewallCommands::Place(const RuleChain& chain) const {
  return fmt::format("{}, table {} {}, chain {}: policy {}", NameOf(chain.backend), NameOf(chain.family), chain.table, chain.name, NameOf(chain.policy));
}

std::string FirewallCommands::Matching(const Packet& packet, bool for_nft) {
  const bool ipv6 = packet.family == Family::kIpv6;
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : " ") + part; };
  const std::string address = ipv6 ? "ip6" : "ip";
  const bool one_port = packet.destination_port && packet.destination_port->first == packet.destination_port->last;
  const bool one_source_port = packet.source_port && packet.source_port->first == packet.source_port->last;
  if (packet.source) add(for_nft ? address + " saddr " + packet.source->ToString() : "-s " + packet.source->ToString());
  const bool elsewhere = packet.destination && packet.destination_is_local == false;
  if (elsewhere) add(for_nft ? address + " daddr " + packet.destination->ToString() : "-d " + packet.destination->ToString());
  if (!packet.protocol) return text;
  const std::string protocol = ProtocolName(*packet.protocol, ipv6);
  if (!for_nft) add("-p " + protocol);
  if (one_source_port) add(for_nft ? fmt::format("{} sport {}", protocol, packet.source_port->first) : fmt::format("--sport {}", packet.source_port->first));
  if (one_port) {
    add(for_nft ? fmt::format("{} dport {}", protocol, packet.destination_port->first) : fmt::format("--dport {}", packet.destination_port->first));
  } else if (for_nft && !one_source_port) {
    add("meta l4proto " + protocol);
  }
  return text;
}

std::string FirewallCommands::Persist(RuleBackend backend, RuleFamily family, const std::string& table) const {
  const std::string tool = ToolOf(backend, family, table);
  if (tool == "nft") return "write it into /etc/nftables.conf (all that is in force now: nft list ruleset)";
  const bool ipv6 = family == RuleFamily::kIp6;
  return fmt::format("{}-save > /etc/iptables/rules.v{} (netfilter-persistent loads it)", tool, ipv6 ? 6 : 4);
}

Fix FirewallCommands::InsertBefore(const Decision& stop, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const {
  if (!stop.rule) return Append(walker_.chain(stop.base), text_of_iptables, text_of_nft, std::move(risk));
  const Rule& rule = walker_.rule(*stop.rule);
  Fix fix;
  fix.risk = std::move(risk);
  fix.persist = Persist(rule.backend, rule.family, rule.table);
  const std::string tool = ToolOf(rule.backend, rule.family, rule.table);
  if (tool == "nft") {
    fix.command = NftCommand(fmt::format("insert rule {} handle {} {}", NftChain(rule), rule.handle, text_of_nft));
    fix.undo = DeleteByText(NftChain(rule), text_of_nft);
    return fix;
  }
  fix.command = fmt::format("{}{} -I {} {} {}", tool, OfTable(rule.table), ShellWord(rule.chain), rule.position + 1, text_of_iptables);
  fix.undo = fmt::format("{}{} -D {} {}", tool, OfTable(rule.table), ShellWord(rule.chain), text_of_iptables);
  return fix;
}

Fix FirewallCommands::Append(const RuleChain& chain, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const {
  return IntoChain(chain, false, text_of_iptables, text_of_nft, std::move(risk));
}

Fix FirewallCommands::InsertFirst(const RuleChain& chain, const std::string& text_of_iptables, const std::string& text_of_nft, std::string risk) const {
  return IntoChain(chain, true, text_of_iptables, text_of_nft, std::move(risk));
}

Fix FirewallCommands::IntoChain(const RuleChain& chain, bool first, const std::string& text_of_iptables, const std::string& text_of_nft,
                                std::string risk) const {
  Fix fix;
  fix.risk = std::move(risk);
  fix.persist = Persist(chain.backend, chain.family, chain.table);
  const std::string tool = ToolOf(chain.backend, chain.family, chain.table);
  if (tool == "nft") {
    fix.command = NftCommand((first ? "insert rule " : "add rule ") + NftChain(chain) + " " + text_of_nft);
    fix.undo = DeleteByText(NftChain(chain), text_of_nft);
    return fix;
  }
  fix.command = fmt::format("{}{} {} {} {}", tool, OfTable(chain.table), first ? "-I" : "-A", ShellWord(chain.name) + (first ? " 1" : ""), text_of_iptables);
  fix.undo = fmt::format("{}{} -D {} {}", tool, OfTable(chain.table), ShellWord(chain.name), text_of_iptables);
  return fix;
}

Fix FirewallCommands::Delete(RuleRef ref, std::string risk) const {
  const Rule& rule = walker_.rule(ref);
  const RuleChain* chain = walker_.ChainNamed(rule.backend, rule.family, rule.table, rule.chain);
  Fix fix;
  fix.risk = std::move(risk);
  fix.persist = Persist(rule.backend, rule.family, rule.table);
  const std::string tool = ToolOf(rule.backend, rule.family, rule.table);
  if (tool == "nft") {
    fix.command = NftCommand(fmt::format("delete rule {} handle {}", NftChain(rule), rule.handle));
    const bool last = chain == nullptr || rule.position + 1 >= chain->rule_count;
    fix.undo = last ? NftCommand(fmt::format("add rule {} {}", NftChain(rule), rule.text))
                    : NftCommand(fmt::format("insert rule {} handle {} {}", NftChain(rule), walker_.rule({ref.backend, ref.rule + 1}).handle, rule.text));
    return fix;
  }
  fix.command = fmt::format("{}{} -D {} {}", tool, OfTable(rule.table), ShellWord(rule.chain), rule.position + 1);
  fix.undo = fmt::format("{}{} -I {} {} {}", tool, OfTable(rule.table), ShellWord(rule.chain), rule.position + 1, ShellLine(rule.text));
  return fix;
}

Fix FirewallCommands::MoveBefore(RuleRef late, const Decision& stop) const {
  const Rule& accepts = walker_.rule(late);
  Fix fix = InsertBefore(stop, ShellLine(accepts.text), accepts.text,
                         "what the rule accepts is accepted before all that stands between the two places");
  const Rule& stops = walker_.rule(*stop.rule);
  const bool same_chain = stops.chain == accepts.chain && stops.table == accepts.table && stops.family == accepts.family;
  const std::string tool = ToolOf(accepts.backend, accepts.family, accepts.table);
  if (tool == "nft") {
    fix.command += " && " + NftCommand(fmt::format("delete rule {} handle {}", NftChain(accepts), accepts.handle));
    fix.undo += "; " + NftCommand(fmt::format("add rule {} {}", NftChain(accepts), accepts.text));
  } else if (same_chain) {
    fix.command += fmt::format(" && {}{} -D {} {}", tool, OfTable(accepts.table), ShellWord(accepts.chain), accepts.position + 2);
    fix.undo += fmt::format(" && {}{} -I {} {} {}", tool, OfTable(accepts.table), ShellWord(accepts.chain), accepts.position + 1, ShellLine(accepts.text));
  }
  return fix;
}

std::vector<Fix> FirewallCommands::ByOwner(const std::string& owner, const Decision& stop, const Packet& packet) const {
  if (std::find(tools_.missing.begin(), tools_.missing.end(), owner) != tools_.missing.end()) return {};
  const std::string& hook = walker_.chain(stop.base).hook;
  const std::string rule_chain = stop.rule ? walker_.rule(*stop.rule).chain : std::string();
  const bool has_ports = !packet.protocol || *packet.protocol == IPPROTO_TCP || *packet.protocol == IPPROTO_UDP;
  const bool one_port = packet.destination_port && packet.destination_port->first == packet.destination_port->last;
  const std::string protocol = packet.protocol ? ProtocolName(*packet.protocol, packet.family == Family::kIpv6) : "tcp";
  const std::string port = one_port ? std::to_string(packet.destination_port->first) : "PORT";
  const std::string source = packet.source ? packet.source->ToString() : "any";
  if (owner == "ufw" && has_ports && (hook == "input" || hook == "forward")) {
    const std::string route = hook == "forward" ? "route " : "";
    const std::string to = packet.destination && packet.destination_is_local == false ? packet.destination->ToString() : "any";
    const std::string rule = fmt::format("allow proto {} from {} to {} port {}", protocol, source, to, port);
    // What a user's rule denies is to be asked after.
    const std::string first = rule_chain.find("-user-") != rule_chain.npos ? "insert 1 " : "";
    return {{"ufw " + route + first + rule, "opens the port for that source", "ufw " + route + "delete " + rule, ""}};
  }
  if (owner == "firewalld" && has_ports && hook == "input") {
    const std::string zone = ZoneOf(rule_chain), what = fmt::format("-port={}/{}", port, protocol);
    return {{"firewall-cmd " + zone + "--add" + what, "opens the port for everybody", "firewall-cmd " + zone + "--remove" + what, "firewall-cmd --runtime-to-permanent"}};
  }
  if (owner == "fail2ban" && stop.rule && packet.source) {
    const std::string& chain = walker_.rule(*stop.rule).chain;
    const std::string jail = chain.starts_with("f2b-") ? ShellWord(chain.substr(4)) : "JAIL";
    return {{fmt::format("fail2ban-client set {} unbanip {}", jail, source), "the source was banned for a reason: see fail2ban's log first",
             fmt::format("fail2ban-client set {} banip {}", jail, source), ""}};
  }
  return {};
}

std::vector<Fix> FirewallCommands::LetThrough(const Decision& stop, const Packet& packet) const {
  const RuleChain& base = walker_.chain(stop.base);
  const Rule* rule = stop.rule ? &walker_.rule(*stop.rule) : nullptr;
  const std::string owner = OwnerOf(walker_.snapshot(), base.backend, base.family, base.table, rule != nullptr ? rule->chain : base.name);
  std::vector<Fix> fixes = ByOwner(owner, stop, packet);
  const std::string by_hand = owner.empty() ? "" : "; " + owner + " owns these rules, and undoes what a hand changes when it next writes them";
  const auto joined = [](const std::string& text, const char* verdict) { return text.empty() ? std::string(verdict) : text + " " + verdict; };
  const std::string iptables = joined(Matching(packet, false), "-j ACCEPT"), nft = joined(Matching(packet, true), "accept");
  fixes.push_back(InsertBefore(stop, iptables, nft, "lets such packets in" + std::string(packet.source ? "" : " from everybody") + by_hand));
  if (stop.rule) fixes.push_back(Delete(*stop.rule, "all that the rule stops goes on to the rules behind it" + by_hand));
  return fixes;
}

}  // namespace conntally::diagnose
