// What the eBPF program needs from the running kernel's BTF, beyond what libbpf relocates. Any thread.
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
  // The kernel's drop reasons, by name without SKB_DROP_REASON_. Empty: it has none.
  std::map<std::string, std::uint32_t> drop_reasons;
  // The layout of struct nf_conn. Absent: the module's BTF may have it.
  std::optional<connection_layout> connections;
};

// Costs some 10 ms and, meanwhile, 10 MB.
KernelTypes ReadKernelTypes();

// The same from the module nf_conntrack. nullopt: it is not loaded, or has no BTF.
bool DescribesConntrackModule();
std::optional<connection_layout> ReadConntrackModule();

}  // namespace conntally
