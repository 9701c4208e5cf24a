// Rules in force that no boot would bring back, and saved ones that are not in force. Texts are compared after what can
// be written in several ways is written in one; rules that programs make anew themselves (Docker's, fail2ban's ...) are
// left out.
#include <netdb.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "collectors/rules/text/rule_texts.h"
#include "daemon/diagnose/facts/case.h"
#include "daemon/diagnose/rules/upkeep/upkeep_findings.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kFileBytesMax = 16U << 20U;
constexpr std::size_t kExamplesMax = 3;

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::string text(kFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

bool IsOfProgram(const std::string& text) {
  constexpr std::array<std::string_view, 8> kMarks = {"DOCKER",   "f2b-", "KUBE-", "cali-",
                                                      "LIBVIRT_", "CNI-", "ufw-",  "ufw6-"};
  return std::any_of(kMarks.begin(), kMarks.end(), [&](std::string_view mark) { return text.find(mark) != text.npos; });
}

// A hand-written line in iptables-save's form.
std::string Normalised(const std::string& text) {
  std::istringstream words(text);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  std::string result;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string word = all[i];
    const bool implied = word == "-m" && i + 1 < all.size() &&
                         (all[i + 1] == "tcp" || all[i + 1] == "udp" || all[i + 1] == "icmp" || all[i + 1] == "icmp6");
    if (implied) {
      ++i;
      continue;
    }
    if (word == "-m" && i + 1 < all.size() && all[i + 1] == "state") all[i + 1] = "conntrack";
    if (word == "--state") word = "--ctstate";
    const bool default_reject = word == "--reject-with" && i + 1 < all.size() &&
                                (all[i + 1] == "icmp-port-unreachable" || all[i + 1] == "icmp6-port-unreachable");
    if (default_reject) {
      ++i;
      continue;
    }
    if ((word.ends_with("/32") && word.find(':') == word.npos) || word.ends_with("/128")) word.resize(word.rfind('/'));
    if (i > 0 && (all[i - 1] == "--ctstate" || all[i - 1] == "--state" || all[i - 1] == "--dports" ||
                  all[i - 1] == "--sports")) {
      std::set<std::string> parts;
      std::istringstream list(word);
      for (std::string part; std::getline(list, part, ',');) parts.insert(part);
      word.clear();
      for (const std::string& part : parts) word += (word.empty() ? "" : ",") + part;
    }
    word.erase(std::remove(word.begin(), word.end(), '"'), word.end());
    result += (result.empty() ? "" : " ") + word;
  }
  return result;
}

// By table and chain, normalised, in order.
using Texts = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

// nft's notation, normalised: words without punctuation, services by number.
std::string NormalisedNft(const std::string& text) {
  std::string spaced;
  for (const char c : text) spaced += c == '{' || c == '}' || c == ',' || c == '"' ? ' ' : c;
  std::istringstream words(spaced);
  std::multiset<std::string> all;
  for (std::string word; words >> word;) {
    if (word == "counter" || word == "packets" || word == "bytes") continue;
    const servent* service = getservbyname(word.c_str(), nullptr);
    all.insert(service != nullptr ? std::to_string((service->s_port & 0xff) << 8 | (service->s_port >> 8 & 0xff))
                                  : word);
  }
  std::string result;
  for (const std::string& word : all) result += (result.empty() ? "" : " ") + word;
  return result;
}

// The rules of an nftables file that is written as nft lists; nullopt for one that is a script (variables, includes,
// commands).
std::optional<Texts> ParseNftFile(const std::string& content) {
  Texts texts;
  std::istringstream lines(content);
  std::string table, chain;
  int depth = 0;
  std::size_t rules = 0;
  for (std::string line; std::getline(lines, line);) {
    if (const auto comment = line.find('#'); comment != line.npos && (comment == 0 || line.find('"') == line.npos))
      line.resize(comment);
    std::istringstream words(line);
    std::string first, second, third;
    words >> first >> second >> third;
    if (first.empty() || (first == "flush" && second == "ruleset")) continue;
    if (depth == 0) {
      if (first != "table") return std::nullopt;
      const bool short_form = third.empty() || third == "{";
      table = (short_form ? "ip " : second + " ") + (short_form ? second : third);
    } else if (depth == 1) {
      chain = first == "chain" ? second : "";
    } else if (depth == 2 && !chain.empty() && first != "}" && first != "type" && first != "policy" &&
               first != "comment") {
      if (line.find('$') != line.npos) return std::nullopt;
      std::istringstream parts(line);
      for (std::string part; std::getline(parts, part, ';');) {
        std::string rule = NormalisedNft(part);
        if (!rule.empty()) texts[{table, chain}].push_back(std::move(rule)), ++rules;
      }
    }
    depth += static_cast<int>(std::count(line.begin(), line.end(), '{') - std::count(line.begin(), line.end(), '}'));
  }
  if (rules == 0) return std::nullopt;
  return texts;
}

struct Difference {
  std::vector<std::string> unsaved;     // in force only
  std::vector<std::string> not_loaded;  // in the file only
};

Difference Compare(const Texts& in_force, const Texts& saved) {
  Difference difference;
  const auto only = [](const Texts& here, const Texts& there, std::vector<std::string>& list) {
    for (const auto& [place, rules] : here) {
      const auto other = there.find(place);
      std::multiset<std::string> left;
      if (other != there.end()) left.insert(other->second.begin(), other->second.end());
      for (const std::string& rule : rules) {
        const auto found = left.find(rule);
        if (found != left.end()) {
          left.erase(found);
        } else {
          list.push_back(fmt::format("{} {}: {}", place.first, place.second, rule));
        }
      }
    }
  };
  only(in_force, saved, difference.unsaved);
  only(saved, in_force, difference.not_loaded);
  return difference;
}

void Tell(const Difference& difference, const std::string& path, const std::string& save, Report& report) {
  if (difference.unsaved.empty() && difference.not_loaded.empty()) return;
  Finding finding;
  finding.id = FindingId::kUnsavedRules;
  finding.certainty = kHygieneMax - 0.05;
  finding.title = fmt::format("The rules in force are not those of {}: {} not saved, {} saved and not in force", path,
                              difference.unsaved.size(), difference.not_loaded.size());
  for (std::size_t i = 0; i < std::min(kExamplesMax, difference.unsaved.size()); ++i)
    finding.evidence.push_back("not saved: " + difference.unsaved[i]);
  for (std::size_t i = 0; i < std::min(kExamplesMax, difference.not_loaded.size()); ++i)
    finding.evidence.push_back("saved, not in force: " + difference.not_loaded[i]);
  finding.cause = "a reboot, or a reload of the firewall, brings the saved rules back in place of those in force";
  finding.fix.push_back(
      {save, "keeps what is in force now, wrong rules included: look at it first", "cp " + path + ".old " + path, ""});
  report.findings.push_back(std::move(finding));
}

void CheckIptables(const RuleCase& rules, bool ipv6, Report& report) {
  const std::string path = fmt::format("/etc/iptables/rules.v{}", ipv6 ? 6 : 4);
  const auto content = ReadFile(rules.inputs.root + path);
  if (!content) return;
  const RuleFamily family = ipv6 ? RuleFamily::kIp6 : RuleFamily::kIp;
  Texts in_force, saved;
  RuleBackend by = RuleBackend::kNftables;
  std::string example_table = "filter";
  bool any = false;
  for (const auto& [backend, one] : rules.inputs.after.backends) {
    if (!one.ruleset) continue;
    for (const RuleTable& table : one.ruleset->tables) {
      const bool iptables = table.family == family && (backend != RuleBackend::kNftables || table.by_iptables);
      if (!iptables) continue;
      by = backend, any = true, example_table = table.name;
    }
    for (const Rule& rule : one.ruleset->rules) {
      const bool iptables = rule.family == family && (backend != RuleBackend::kNftables || rule.text.starts_with('-'));
      if (!iptables || IsOfProgram(rule.chain) || IsOfProgram(rule.text)) continue;
      if (rule.text.starts_with('('))
        return report.not_checked.push_back({path, "the texts of the rules in force could not be read"});
      in_force[{rule.table, rule.chain}].push_back(Normalised(rule.text));
    }
  }
  // No rules in force: the file may belong to another namespace.
  if (!any && !rules.inputs.host.in_first_namespace) return;
  for (const auto& [place, texts] : ParseSaveListing(*content)) {
    for (const std::string& text : texts) {
      if (!IsOfProgram(place.second) && !IsOfProgram(text)) saved[place].push_back(Normalised(text));
    }
  }
  Tell(Compare(in_force, saved), path,
       fmt::format("cp {0} {0}.old && {1}-save > {0}", path, rules.commands.ToolOf(by, family, example_table)), report);
  report.checked.push_back("the rules in force against " + path);
}

void CheckNft(const RuleCase& rules, Report& report) {
  const std::string path = "/etc/nftables.conf";
  const auto content = ReadFile(rules.inputs.root + path);
  const auto nft = rules.inputs.after.backends.find(RuleBackend::kNftables);
  if (!content || nft == rules.inputs.after.backends.end() || !nft->second.ruleset) return;
  // Debian's default file has chains but no rules: it is not used.
  if (content->find("chain") == content->npos) return;
  const auto saved = ParseNftFile(*content);
  if (!saved) return;
  Texts in_force;
  for (const Rule& rule : nft->second.ruleset->rules) {
    if (rule.text.starts_with('-') || IsOfProgram(rule.chain) || rule.table == "firewalld" ||
        rule.table.starts_with("f2b"))
      continue;
    if (rule.text.starts_with('('))
      return report.not_checked.push_back({path, "the texts of the rules in force could not be read"});
    in_force[{std::string(NameOf(rule.family)) + " " + rule.table, rule.chain}].push_back(NormalisedNft(rule.text));
  }
  if (in_force.empty() && !rules.inputs.host.in_first_namespace) return;
  const Difference difference = Compare(in_force, *saved);
  // Equal numbers on both sides are probably the same rules in another notation.
  if (difference.unsaved.size() == difference.not_loaded.size()) return;
  Tell(difference, path, fmt::format("cp {0} {0}.old && (echo 'flush ruleset'; nft -s list ruleset) > {0}", path),
       report);
  report.checked.push_back("the rules in force against " + path);
}

}  // namespace

void CheckSavedRules(const RuleCase& rules, Report& report) {
  if (!rules.unread.empty())
    return report.not_checked.push_back({"whether the rules in force are saved", "not all of them could be read"});
  CheckIptables(rules, false, report);
  CheckIptables(rules, true, report);
  CheckNft(rules, report);
}

}  // namespace conntally::diagnose
