#include "collectors/host/queue_drops.h"

#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "collectors/host/network_reader.h"
#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

std::uint32_t DropsIn(Bytes statistics) {
  gnet_stats_queue queue{};
  AttributeWalk walk(statistics);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == TCA_STATS_QUEUE && attribute.payload.size() >= sizeof queue)
      std::memcpy(&queue, attribute.payload.data(), sizeof queue);
  }
  return queue.drops;
}

}  // namespace

void ReadQueueDrops(std::map<std::string, std::uint64_t>& counters) {
  const auto links = ReadLinks();
  if (!links) return;
  std::map<std::uint32_t, std::string> names;
  for (const Link& link : *links) names[link.index] = link.name;
  const NetlinkRequest request(RTM_GETQDISC, NetlinkRequest::Wants::kDump, tcmsg{});
  const auto asked = QueryProtocol(NETLINK_ROUTE, request, [&](Bytes message) {
    tcmsg header{};
    if (message.size() < MessageHeader::kBytes + sizeof header) return;
    std::memcpy(&header, message.data() + MessageHeader::kBytes, sizeof header);
    const bool ingress = header.tcm_parent == TC_H_INGRESS;  // TC_H_CLSACT is the same
    if (!ingress && header.tcm_parent != TC_H_ROOT) return;
    const auto name = names.find(static_cast<std::uint32_t>(header.tcm_ifindex));
    if (name == names.end()) return;
    AttributeWalk walk(AttributesAfter(message, sizeof header));
    for (Attribute attribute; walk.Next(attribute);) {
      if (attribute.type == TCA_STATS2)
        counters["Queue." + name->second + (ingress ? ".ingress" : ".root")] = DropsIn(attribute.payload);
    }
  });
  static_cast<void>(asked);
}

}  // namespace conntally
