#include "collectors/conntrack/dumps/connection_list.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "collectors/conntrack/decode/decode.h"
#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"

namespace conntally {
namespace {

constexpr unsigned kAttemptsMax = 3;

std::uint64_t PacketsOf(Bytes counters) {
  std::uint64_t packets = 0;
  AttributeWalk walk(counters);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == CTA_COUNTERS_PACKETS && attribute.payload.size() == sizeof packets) {
      packets = LoadNetworkOrder<std::uint64_t>(attribute.payload);
    }
  }
  return packets;
}

}  // namespace

std::optional<Connection> DecodeConnection(Bytes message) {
  FlowEvent event;
  if (DecodeFlow(message, event) != DecodeOutcome::kFlow) return std::nullopt;
  Connection connection;
  connection.key = event.key;
  if (const auto reply = DecodeReply(message)) connection.reply = *reply;
  connection.status = event.has_status ? event.status : 0;
  connection.tcp_state = event.has_tcp_state ? event.tcp_state : TcpState::kNone;
  connection.start_ns = event.start_ns;

  const auto read = ReadNetfilterMessage(message);
  if (!read) return std::nullopt;
  AttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    switch (attribute.type) {
      case CTA_TIMEOUT:
        if (attribute.payload.size() == sizeof(std::uint32_t)) {
          connection.timeout_seconds = LoadNetworkOrder<std::uint32_t>(attribute.payload);
        }
        break;
      case CTA_HELP: connection.has_helper = true; break;
      case CTA_COUNTERS_ORIG:
        connection.has_packets = true;
        connection.packets_original = PacketsOf(attribute.payload);
        break;
      case CTA_COUNTERS_REPLY: connection.packets_reply = PacketsOf(attribute.payload); break;
      default: break;
    }
  }
  return connection;
}

Result<ConnectionList> ListConnections(std::size_t connections_max) {
  const NetlinkRequest whole_table(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkRequest::Wants::kDump);
  Status asked = Ok();
  for (unsigned attempt = 0; attempt < kAttemptsMax; ++attempt) {
    auto socket = NetlinkSocket::Open();
    if (!socket) return socket.error();
    ConnectionList list;
    asked = Query(*socket, whole_table, [&](Bytes message) {
      const auto connection = list.connections.size() < connections_max ? DecodeConnection(message) : std::nullopt;
      if (connection) {
        list.connections.push_back(*connection);
      } else {
        ++list.left_out;
      }
    });
    if (asked) return list;
    if (asked.error().code != EINTR) break;
  }
  return Error{"cannot list the conntrack table: " + asked.error().message, asked.error().code};
}

}  // namespace conntally
