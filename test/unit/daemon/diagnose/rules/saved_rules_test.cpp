#include <filesystem>
#include <fstream>

#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/rules/asked_rules.h"

using namespace conntally;
using namespace conntally::test;

namespace {

// A root with files of saved rules.
class Root {
 public:
  Root() : path_(std::filesystem::temp_directory_path() / ("conntally-saved-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_ / "etc/iptables");
  }
  ~Root() { std::filesystem::remove_all(path_); }
  void Write(const char* name, const std::string& text) const { std::ofstream(path_ / "etc" / name) << text; }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

AskedRules Legacy(const Root& root, std::vector<std::string> texts) {
  AskedRules asked;
  std::vector<BuiltRule> rules;
  for (std::string& text : texts) rules.push_back(Does(Verdict::kAccept, {}, std::move(text)));
  asked.firewall.Base("filter", "INPUT", "input", 0, Verdict::kAccept, std::move(rules), RuleFamily::kIp, "filter",
                      RuleBackend::kIptablesLegacy);
  asked.root = root.path();
  return asked;
}

}  // namespace

TEST_CASE("rules that are as saved, whatever was left out in writing them, are no finding") {
  const Root root;
  root.Write("iptables/rules.v4",
             "# by hand\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -m state --state "
             "ESTABLISHED,RELATED -j ACCEPT\nCOMMIT\n");
  CHECK(Legacy(root, {"-p tcp -m tcp --dport 22 -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                      "-j f2b-sshd"})
            .Ids()
            .empty());
}

TEST_CASE("a rule that nobody saved is told, and one that was saved and is gone") {
  const Root root;
  root.Write("iptables/rules.v4",
             "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n");
  const auto report = Legacy(root, {"-p tcp -m tcp --dport 80 -j ACCEPT"}).Look();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].id == diagnose::FindingId::kUnsavedRules);
  CHECK(report.findings[0].evidence == Strings{"not saved: filter INPUT: -p tcp --dport 80 -j ACCEPT",
                                               "saved, not in force: filter INPUT: -p tcp --dport 22 -j ACCEPT"});
}

TEST_CASE("nftables' file is compared where it holds rules, and is no script") {
  const Root root;
  AskedRules asked;
  asked.firewall.Base("filter", "input", "input", 0, Verdict::kAccept,
                      {Does(Verdict::kAccept, {ToPort(22)}, "tcp dport 22 accept"),
                       Does(Verdict::kAccept, {ToPort(80)}, "tcp dport { 80, 443 } counter accept")},
                      RuleFamily::kInet);
  asked.root = root.path();
  CHECK(asked.Ids().empty());
  const std::string head =
      "#!/usr/sbin/nft -f\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority "
      "filter;\n";
  root.Write("nftables.conf", head + "\t}\n}\n");
  CHECK(asked.Ids().empty());
  root.Write("nftables.conf", head + "\t\ttcp dport ssh accept\n\t\ttcp dport {80,443} counter accept\n\t}\n}\n");
  CHECK(asked.Ids().empty());
  root.Write("nftables.conf", head + "\t\ttcp dport ssh accept\n\t}\n}\n");
  CHECK(asked.Ids() == Strings{"unsaved-rules"});
  root.Write("nftables.conf", "include \"/etc/nftables.d/*.nft\"\n");
  CHECK(asked.Ids().empty());
}
