#include "collectors/system/proc_files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "test/support/catch.h"

using namespace conntally;
namespace fs = std::filesystem;

namespace {

struct Proc {
  Proc() {
    std::string name = (fs::temp_directory_path() / "conntally-proc-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Proc() { fs::remove_all(path); }
  void Write(const std::string& file, const std::string& text) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text;
  }
  fs::path path;
};

}  // namespace

TEST_CASE("network counters are pairs of lines, and a negative one is no end of them") {
  const Proc proc;
  proc.Write("thread-self/net/snmp", "Ip: Forwarding InAddrErrors\nIp: 2 7\nTcp: MaxConn OutRsts\nTcp: -1 9\n");
  proc.Write("thread-self/net/netstat", "TcpExt: ListenDrops IPReversePathFilter\nTcpExt: 3 4\n");
  proc.Write("thread-self/net/snmp6", "Ip6InNoRoutes                    5\n");
  proc.Write("thread-self/net/xfrm_stat", "XfrmInPolBlock          \t6\n");
  const auto counters = ReadNetworkCounters(proc.path);
  REQUIRE(counters);
  CHECK(counters->at("Ip.InAddrErrors") == 7);
  CHECK(counters->at("Tcp.OutRsts") == 9);
  CHECK(counters->at("TcpExt.IPReversePathFilter") == 4);
  CHECK(counters->at("Ip6InNoRoutes") == 5);
  CHECK(counters->at("XfrmInPolBlock") == 6);
}

TEST_CASE("counters that cannot be read say which") {
  const Proc proc;
  const auto counters = ReadNetworkCounters(proc.path);
  REQUIRE_FALSE(counters);
  CHECK(counters.error().message.find("/thread-self/net/snmp") != std::string::npos);
}

TEST_CASE("settings are read by their path, and folders by the beginning of a name") {
  const Proc proc;
  proc.Write("sys/net/netfilter/nf_conntrack_max", "4096\n");
  proc.Write("sys/net/netfilter/nf_log/0", "NONE\n");
  proc.Write("sys/net/netfilter/nf_conntrack_events", "2\n");
  std::map<std::string, std::string> values;
  ReadSysctls(proc.path, "net/netfilter", "nf_conntrack_", values);
  CHECK(values == std::map<std::string, std::string>{{"net/netfilter/nf_conntrack_max", "4096"},
                                                     {"net/netfilter/nf_conntrack_events", "2"}});
  CHECK(ReadSysctl(proc.path, "net/netfilter/nf_conntrack_max") == "4096");
  CHECK_FALSE(ReadSysctl(proc.path, "net/netfilter/nothing"));
}

TEST_CASE("a setting is a number where it begins with one") {
  const Proc proc;
  proc.Write("sys/net/netfilter/nf_conntrack_max", "4096\n");
  proc.Write("sys/kernel/printk", "4\t4\t1\t7\n");
  proc.Write("sys/kernel/core_pattern", "core\n");
  proc.Write("sys/kernel/sched_rt_runtime_us", "-1\n");
  CHECK(ReadSysctlNumber(proc.path, "net/netfilter/nf_conntrack_max") == 4096);
  CHECK(ReadSysctlNumber(proc.path, "kernel/printk") == 4);
  for (const char* none : {"kernel/core_pattern", "kernel/sched_rt_runtime_us", "kernel/nothing"})
    CHECK_FALSE(ReadSysctlNumber(proc.path, none));
}

TEST_CASE("uptime is in whole seconds") {
  const Proc proc;
  CHECK_FALSE(ReadUptime(proc.path));
  proc.Write("uptime", "5412.87 10000.00\n");
  CHECK(ReadUptime(proc.path) == std::chrono::seconds(5412));
}
