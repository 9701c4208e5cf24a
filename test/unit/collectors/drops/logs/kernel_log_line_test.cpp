#include "collectors/drops/logs/kernel_log_line.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

// As Linux 6.18 writes them.
constexpr const char* kTcp =
    "IPT_DROP: IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:12:34:57:08:00 SRC=192.0.2.7 DST=198.51.100.2 LEN=60 "
    "TOS=0x00 "
    "PREC=0x00 TTL=63 ID=4711 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0 ";
constexpr const char* kIpv6 =
    "drop6 IN=eth0 OUT=eth1 MAC=52:54 SRC=2001:0db8:0000:0000:0000:0000:0000:0007 "
    "DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=49 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=UDP SPT=1 DPT=53 LEN=9 ";
constexpr const char* kIcmpError =
    "IN= OUT=eth0 SRC=192.0.2.1 DST=192.0.2.7 LEN=88 TOS=0x00 PREC=0xC0 TTL=64 ID=1 PROTO=ICMP TYPE=3 CODE=3 "
    "[SRC=203.0.113.9 DST=192.0.2.1 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=2 PROTO=UDP SPT=5 DPT=6 LEN=40 ] ";

}  // namespace

TEST_CASE("a line of the LOG target tells source, protocol, port, prefix and where it was") {
  const auto packet = ParseLogLine(kTcp).value();
  CHECK(packet.prefix == "IPT_DROP:");
  CHECK(packet.via == DropVia::kLog);
  CHECK(packet.key.source.ToString() == "192.0.2.7");
  CHECK(packet.key.protocol == 6);
  CHECK(packet.key.destination_port == 22);
  CHECK(packet.key.hooks.Meets(HookSet(HookSet::kInput)));
  CHECK_FALSE(packet.key.hooks.Meets(HookSet(HookSet::kForward | HookSet::kOutput | HookSet::kPostrouting)));
}

TEST_CASE("an IPv6 line is read alike") {
  const auto packet = ParseLogLine(kIpv6).value();
  CHECK(packet.prefix == "drop6");
  CHECK(packet.key.source.ToString() == "2001:db8::7");
  CHECK(packet.key.protocol == 17);
  CHECK(packet.key.destination_port == 53);
  CHECK(packet.key.hooks.Meets(HookSet(HookSet::kForward)));
  CHECK_FALSE(packet.key.hooks.Meets(HookSet(HookSet::kInput)));
}

TEST_CASE("the packet quoted in an ICMP error is not the one that was logged") {
  const auto packet = ParseLogLine(kIcmpError).value();
  CHECK(packet.prefix.empty());
  CHECK(packet.key.source.ToString() == "192.0.2.1");
  CHECK(packet.key.protocol == 1);
  CHECK(packet.key.destination_port == 0);
  CHECK(packet.key.hooks.Meets(HookSet(HookSet::kOutput)));
}

TEST_CASE("a prefix may hold what it likes") {
  CHECK(ParseLogLine("x=y; IN=lo?IN=eth0 OUT= SRC=192.0.2.7 PROTO=47 ")->prefix == "x=y; IN=lo?");
  CHECK(ParseLogLine("IN=eth0 OUT= SRC=192.0.2.7 PROTO=47 ")->key.protocol == 47);
  CHECK(ParseLogLine("a\\x5cb\\x22\\x1b IN=eth0 OUT= SRC=192.0.2.7")->prefix == "a\\b\"?");
}

TEST_CASE("what is no line of the LOG target is none") {
  for (const char* text : {"", "IN=", "IN=eth0 OUT=", "IN=eth0 OUT= SRC=", "IN=eth0 OUT= SRC=host DST=1.2.3.4",
                           "IN=eth0 OUT= SRC=1.2.3.4.5", "eth0: renamed from IN=x", "IN=a b OUT= SRC=1.2.3.4",
                           "IN=eth0 OUT= SRC=1.2.3.4 PROTO=NONE", "IN=eth0 OUT= SRC=1.2.3.4 PROTO=256"}) {
    CHECK_FALSE(ParseLogLine(text));
  }
}

TEST_CASE("only the kernel's own records are believed") {
  const auto kernel = ParseKernelLogRecord("4,1234,5678,-;IN=eth0 OUT= SRC=192.0.2.7\n SUBSYSTEM=x\n").value();
  CHECK(kernel.from_kernel);
  CHECK(kernel.sequence == 1234);
  CHECK(kernel.text == "IN=eth0 OUT= SRC=192.0.2.7");
  CHECK_FALSE(ParseKernelLogRecord("12,1235,5678,-;IN=eth0 OUT= SRC=192.0.2.7\n")->from_kernel);  // user.warning
  CHECK_FALSE(ParseKernelLogRecord("4294967300,1,1,-;x"));  // 4 in 32 bits, were it cut
}

TEST_CASE("what is no record is none") {
  for (const char* text : {"", ";", "x,1,2,-;text", "4;text", "4,;text", "-4,1,2,-;text", "4,1,2,- no text"}) {
    CHECK_FALSE(ParseKernelLogRecord(text));
  }
}

TEST_CASE("a full table is known in the words of all versions") {
  const auto whose = [](const char* text) {
    const auto line = ParseTableFullLine(text);
    return line ? std::optional(line->network_namespace) : std::nullopt;
  };
  CHECK(whose("nf_conntrack: table full, dropping packet") == 0);
  CHECK(whose("nf_conntrack: nf_conntrack: table full, dropping packet") == 0);
  CHECK(whose("nf_conntrack: table full in netns 4026532284, dropping packet") == 4026532284);
  CHECK(whose("nf_conntrack: nf_conntrack: table full in netns 4026531840, dropping packet") == 4026531840);
  CHECK(whose("nf_conntrack: table full in netns ?, dropping packet") == 0);
  CHECK(whose("neighbour: arp_cache: neighbor table full!") == std::nullopt);
  CHECK(whose("nf_conntrack: expectation table full") == std::nullopt);
}
