// Counts the packets that netfilter drops in one network namespace, by an eBPF program on the tracepoint kfree_skb:
// whatever rule, policy or full table drops them, without changing a rule.
//
// Exact: every drop is in a drained count or in losses(). The program writes to one of two maps. Drain switches it to
// the other, and empties the first once the kernel guarantees that nothing writes to it any more.
//
// If more tuples are dropped between two drains than the maps hold, the later ones are counted without their
// destination.
//
// Nothing is pinned: the program lives as long as this object's descriptors, so a crash leaves nothing behind.
//
// Threads: one owner.
//
// Sources: program/netfilter_drops.bpf.c; bpf(2); kernel/bpf/syscall.c (maybe_wait_bpf_programs), kernel/bpf/hashtab.c.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "collectors/drops/drop_event.h"
#include "collectors/system/result.h"

namespace conntally {

class EbpfDrops {
 public:
  // Takes the inode of /proc/self/ns/net, or of a file in /run/netns. The error says what is missing.
  static Result<EbpfDrops> Attach(std::uint32_t namespace_inode);

  EbpfDrops(EbpfDrops&&) noexcept;
  EbpfDrops& operator=(EbpfDrops&&) noexcept;
  ~EbpfDrops();

  // Visits the counts since the last call. If there are any, sleeps for the kernel's grace period, some milliseconds.
  // On an error nothing is lost: the rest comes with the next call.
  Status Drain(const std::function<void(const CountedDrop&)>& visit);

  // Counts translated packets and replies for their connection's source, once the layout of connections is known, which
  // needs conntrack to be loaded. False until then: call it again. Until then a packet counts for its own source.
  bool FollowConnections();

  // Since it was attached.
  struct Losses {
    std::uint64_t overflow = 0;  // dropped packets of sources without room in the kernel's maps
    std::uint64_t missed = 0;  // freed packets, dropped by netfilter or not, while the program already ran on that CPU
    std::uint64_t no_ip = 0;   // dropped packets that are neither IPv4 nor IPv6
  };
  Result<Losses> ReadLosses() const;

  // Packets that the kernel itself dropped, by reason (kernel_drop_reasons.h), for the reasons that this kernel has.
  // Only this network namespace's, where the packet shows its namespace.
  std::map<std::string, std::uint64_t> ReadReasons() const;

 private:
  struct Loaded;
  explicit EbpfDrops(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace conntally
