// The conntrack entry that a packet on the wire belongs to. Pure; any thread.
#pragma once

#include "collectors/conntrack/dumps/connection_list.h"
#include "collectors/host/packets/stream_ledger.h"
#include "daemon/diagnose/facts/host_facts.h"

namespace conntally::diagnose {

struct EntryOf {
  const Connection* connection = nullptr;
  bool original = true;     // the packet is of the original direction
  bool translated = false;  // it has its translated addresses, as when it leaves
};

// For TCP. Looks for the addresses before translation first, then for those after it; `connection` is nullptr if there
// is no entry.
EntryOf FindEntry(const HostFacts& host, const StreamEnds& ends);

StreamEnds EndsOf(const FlowKey& key);

}  // namespace conntally::diagnose
