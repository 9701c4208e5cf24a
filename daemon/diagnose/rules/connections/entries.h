// Which conntrack entry a packet on the wire belongs to. Pure; any thread.
#pragma once

#include "collectors/conntrack/dumps/connection_list.h"
#include "collectors/host/packets/stream_ledger.h"
#include "daemon/diagnose/facts/host_facts.h"

namespace conntally::diagnose {

struct EntryOf {
  const Connection* connection = nullptr;
  bool original = true;     // the packet is of the original direction
  bool translated = false;  // it is as it leaves: with the addresses that translation gave it
};

// TCP's. Before translation first, then behind it; `connection` is nullptr where there is none.
EntryOf FindEntry(const HostFacts& host, const StreamEnds& ends);

StreamEnds EndsOf(const FlowKey& key);

}  // namespace conntally::diagnose
