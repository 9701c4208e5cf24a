// What a poll of 10,000 rules costs beside a bare dump of the same rules, and beside the tools, in CPU milliseconds
// (user and system, children included; medians). Makes namespaces of its own: needs root.
//
//   build/release/test/bench/bench_rules [rules]
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "collectors/netlink/query.h"
#include "collectors/rules/iptables/legacy_reader.h"
#include "collectors/rules/nft/nft_reader.h"
#include "collectors/rules/rule_counters.h"

namespace {

using namespace conntally;

constexpr int kRounds = 15;

double CpuMilliseconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      sum += static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
    }
  }
  return sum;
}

double Median(int rounds, const std::function<void()>& work) {
  std::vector<double> taken;
  for (int i = 0; i < rounds; ++i) {
    const double before = CpuMilliseconds();
    work();
    taken.push_back(CpuMilliseconds() - before);
  }
  std::sort(taken.begin(), taken.end());
  return taken[taken.size() / 2];
}

void Shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) std::fprintf(stderr, "failed: %s\n", command.c_str());
}

void FeedTool(const char* tool, const std::string& input) {
  FILE* pipe = popen(tool, "w");
  std::fwrite(input.data(), 1, input.size(), pipe);
  if (pclose(pipe) != 0) std::fprintf(stderr, "failed: %s\n", tool);
}

// A fresh namespace for the whole process: what was in the old one goes with it.
void FreshNamespace() {
  if (unshare(CLONE_NEWNET) != 0) {
    std::perror("unshare");
    std::exit(77);
  }
}

void BareDump() {
  auto socket = NetlinkSocket::Open();
  const NetlinkRequest request{NftMessage(NFT_MSG_GETRULE), NetlinkRequest::Wants::kDump};
  if (!socket || !SendRequest(*socket, request)) std::exit(1);
  static ReplyBuffer buffer;
  std::size_t bytes = 0;
  for (;;) {
    const auto datagram = socket->Receive(buffer);
    if (!datagram || datagram->size() < 16) std::exit(1);
    bytes += datagram->size();
    if (LoadHostOrder<std::uint16_t>(datagram->subspan(4)) == NLMSG_DONE) return;
  }
}

void Row(const char* what, double milliseconds, double floor) {
  std::printf("  %-44s %8.1f  %5.2f x\n", what, milliseconds, milliseconds / floor);
}

void Nft(const char* title, int rules, const char* tool, const std::string& input,
         const std::vector<std::string>& tools) {
  FreshNamespace();
  FeedTool(tool, input);
  NftReader reader;
  RuleCounters counters(2000);
  const auto poll = [&] {
    FirewallReading snapshot;
    snapshot.backends[RuleBackend::kNftables] = reader.Read();
    counters.Update(std::move(snapshot), {});
  };
  std::printf("%s, %d rules\n", title, rules);
  const double first = Median(1, poll);
  // In turns, so that what else the machine does falls upon both.
  std::vector<double> floors, polls;
  for (int i = 0; i < kRounds; ++i) {
    floors.push_back(Median(1, BareDump));
    polls.push_back(Median(1, poll));
  }
  std::sort(floors.begin(), floors.end());
  std::sort(polls.begin(), polls.end());
  const double floor = floors[kRounds / 2];
  Row("bare GETRULE dump", floor, floor);
  Row("a poll", polls[kRounds / 2], floor);
  Row("the first, with texts", first, floor);
  for (const std::string& command : tools)
    Row(command.c_str(), Median(3, [&] { Shell(command + " > /dev/null"); }), floor);
  const auto& figures = counters.figures()->backends.at(RuleBackend::kNftables);
  if (figures.totals.size() != static_cast<std::size_t>(rules))
    std::printf("  only %zu rules: %s\n", figures.totals.size(), figures.snapshot.failure.c_str());
}

void Legacy(int rules, const std::string& input) {
  FreshNamespace();
  FeedTool("iptables-legacy-restore", input);
  LegacyReader reader(RuleBackend::kIptablesLegacy);
  RuleCounters counters(2000);
  const auto poll = [&] {
    FirewallReading snapshot;
    snapshot.backends[RuleBackend::kIptablesLegacy] = reader.Read();
    counters.Update(std::move(snapshot), {});
  };
  std::printf("iptables-legacy, %d rules\n", rules);
  const double first = Median(1, poll);
  const double each = Median(kRounds, poll);
  Row("a poll", each, each);
  Row("the first, with texts", first, each);
  Row("iptables-legacy-save -c", Median(3, [] { Shell("iptables-legacy-save -c > /dev/null"); }), each);
}

}  // namespace

int main(int count, char** arguments) {
  const int rules = count > 1 ? std::atoi(arguments[1]) : 10'000;
  std::string native = "table inet t {\nchain input {\ntype filter hook input priority 0;\n";
  std::string iptables = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
  for (int i = 0; i < rules; ++i) {
    const std::string address = "10." + std::to_string(i / 250 % 250) + "." + std::to_string(i % 250) + ".1";
    native += "ip saddr " + address + " tcp dport 22 counter drop\n";
    iptables += "-A INPUT -s " + address + "/32 -p tcp -m tcp --dport 22 -j DROP\n";
  }
  native += "}\n}\n";
  iptables += "COMMIT\n";
  Nft("native nftables", rules, "nft -f -", native, {"nft list ruleset", "nft -j list ruleset"});
  Nft("iptables-nft", rules, "iptables-nft-restore", iptables, {"iptables-nft-save -c", "nft -j list ruleset"});
  Legacy(rules, iptables);
  return 0;
}
