// What the eBPF program needs to know of the running kernel beside what libbpf fits by itself, from its BTF. Any
// thread.
//
// Sources: include/net/dropreason-core.h; include/net/netfilter/nf_conntrack.h; Documentation/bpf/btf.rst.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "collectors/drops/ebpf/program/drop_record.h"

namespace conntally {

struct KernelTypes {
  // The kernel's reasons to drop a packet, by their names without SKB_DROP_REASON_. Empty: it tells none.
  std::map<std::string, std::uint32_t> drop_reasons;
  // Of struct nf_conn. Absent: it may be its module's to say.
  std::optional<connection_layout> connections;
};

// Costs some 10 ms and, while it reads, 10 MB.
KernelTypes ReadKernelTypes();

// What the module nf_conntrack says, once it is loaded. nullopt: it is not, or it does not describe itself.
bool DescribesConntrackModule();
std::optional<connection_layout> ReadConntrackModule();

}  // namespace conntally
