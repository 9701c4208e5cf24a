// write_seeds DIRECTORY: DIRECTORY/FUZZER/… for the fuzzers of what the kernel says, from the recordings; by hand where
// there is none.
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <sys/socket.h>
// After them: these clash with them otherwise.
#include <linux/netfilter/ipset/ip_set.h>

#include <string_view>
#include <tuple>

#include "test/support/message_builder.h"
#include "test/support/recording.h"

using namespace conntally::test;

namespace {

namespace fs = std::filesystem;

void Write(const fs::path& path, const Buffer& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Buffer Text(std::string_view text) {
  Buffer whole(text.size() + 1);
  std::memcpy(whole.data(), text.data(), text.size());
  return whole;
}

Buffer Of(int subsystem, int type, int family, std::initializer_list<Buffer> attributes) {
  Buffer message = Message(0, 0, family, attributes);
  const auto written = HostBytes(static_cast<std::uint16_t>(subsystem << 8 | type));
  std::copy(written.begin(), written.end(), message.begin() + 4);
  return message;
}

// Each message of it, and all of them as one.
void WriteMessages(const fs::path& folder, const Recording& recording) {
  unsigned number = 0;
  Buffer all;
  for (const Buffer& message : Messages(recording)) {
    Write(folder / (recording.scenario + "_" + std::to_string(number++)), message);
    all.insert(all.end(), message.begin(), message.end());
  }
  Write(folder / recording.scenario, all);
}

void WriteRules(const fs::path& folder) {
  for (const auto& file : fs::directory_iterator(CONNTALLY_RULES_RECORDINGS)) {
    if (file.path().extension() != ".bin") continue;
    const Recording recording = ReadRecording(file.path());
    if (!recording.scenario.ends_with("legacy")) {
      WriteMessages(folder / "rules", recording);
      continue;
    }
    // As fuzz_legacy_table reads it: the family, what the kernel tells of the table, its entries.
    const bool ipv6 = recording.scenario.starts_with("ip6");
    Write(folder / "legacy_table" / recording.scenario,
          Join({Buffer{std::byte{ipv6}}, recording.datagrams.at(0), recording.datagrams.at(1)}));
  }
  const Buffer element =
      Nest(IPSET_ATTR_DATA, {Nest(IPSET_ATTR_IP, {Field(IPSET_ATTR_IPADDR_IPV4, std::uint32_t{0xc0000207})}),
                             Field(IPSET_ATTR_CIDR, std::uint8_t{24}), Field(IPSET_ATTR_PACKETS, std::uint64_t{7}),
                             Field(IPSET_ATTR_BYTES, std::uint64_t{420})});
  Write(folder / "rules/ipset",
        Of(NFNL_SUBSYS_IPSET, IPSET_CMD_LIST, AF_INET,
           {Field(IPSET_ATTR_PROTOCOL, std::uint8_t{6}), Field(IPSET_ATTR_SETNAME, Text("blocked")),
            Field(IPSET_ATTR_TYPENAME, Text("hash:net")), Field(IPSET_ATTR_FAMILY, std::uint8_t{AF_INET}),
            Field(IPSET_ATTR_REVISION, std::uint8_t{6}),
            Nest(IPSET_ATTR_DATA, {Field(IPSET_ATTR_TIMEOUT, std::uint32_t{600})}),
            Nest(IPSET_ATTR_ADT, {element, element})}));
}

void WriteNflog(const fs::path& folder) {
  Buffer packet(40);
  packet[0] = std::byte{0x45}, packet[9] = std::byte{IPPROTO_TCP}, packet[12] = std::byte{192};
  Buffer packet6(60);
  packet6[0] = std::byte{0x60}, packet6[6] = std::byte{IPPROTO_ROUTING}, packet6[40] = std::byte{IPPROTO_UDP};
  const Buffer header = Field(NFULA_PACKET_HDR, Buffer{std::byte{8}, std::byte{0}, std::byte{1}, std::byte{0}});
  for (const auto& [name, family, payload] :
       {std::tuple{"tcp", AF_INET, packet}, std::tuple{"routed_udp6", AF_INET6, packet6}}) {
    Write(folder / "nflog_message" / name,
          Of(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET, family,
             {header, Field(NFULA_PREFIX, Text("dropped: ")), Field(NFULA_IFINDEX_INDEV, std::uint32_t{2}),
              Field(NFULA_PAYLOAD, payload), Field(NFULA_SEQ, std::uint32_t{1}),
              Field(NFULA_SEQ_GLOBAL, std::uint32_t{2})}));
  }
}

void WriteStatistics(const fs::path& folder) {
  Write(folder / "table_statistics/fill", Message(IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC,
                                                  {Field(CTA_STATS_GLOBAL_ENTRIES, std::uint32_t{7}),
                                                   Field(CTA_STATS_GLOBAL_MAX_ENTRIES, std::uint32_t{262'144})}));
  Write(folder / "table_statistics/cpu",
        Message(IPCTNL_MSG_CT_GET_STATS_CPU, 0, AF_UNSPEC,
                {Field(CTA_STATS_INVALID, std::uint32_t{1}), Field(CTA_STATS_DROP, std::uint32_t{2}),
                 Field(CTA_STATS_EARLY_DROP, std::uint32_t{3}), Field(CTA_STATS_CHAIN_TOOLONG, std::uint32_t{4})}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const fs::path folder = argv[1];
  for (const Recording& recording : ReadRecordings(CONNTALLY_CONNTRACK_RECORDINGS))
    WriteMessages(folder / "conntrack_decode", recording);
  WriteRules(folder);
  WriteNflog(folder);
  WriteStatistics(folder);
  return 0;
}
