#include "daemon/diagnose/rules/connections/entries.h"

#include <netinet/in.h>

namespace conntally::diagnose {

StreamEnds EndsOf(const FlowKey& key) {
  return {key.SourceAddress(), {key.destination, key.family}, key.source_port, key.destination_port};
}

EntryOf FindEntry(const HostFacts& host, const StreamEnds& ends) {
  EntryOf behind;
  if (!host.connections) return behind;
  for (const Connection& connection : host.connections->connections) {
    if (connection.key.protocol != IPPROTO_TCP || connection.key.family != ends.source.family) continue;
    const StreamEnds original = EndsOf(connection.key), reply = EndsOf(connection.reply);
    if (original == ends) return {&connection, true, false};
    if (reply == ends) return {&connection, false, false};
    if (reply.Reversed() == ends) behind = {&connection, true, true};
    if (original.Reversed() == ends) behind = {&connection, false, true};
  }
  return behind;
}

}  // namespace conntally::diagnose
