// The packets that netfilter drops, counted in the kernel by an eBPF program on the tracepoint kfree_skb, whatever
// rule, policy or full table drops them, and with no rule changed. Of one network namespace.
//
// Exact: every drop is in a drained count or in losses(). The program writes one of two maps; Drain lets it go on with
// the other and empties the first, once the kernel has made sure that nobody writes it any more.
//
// Where more tuples are dropped between two drains than the maps hold, those that come late are counted without their
// destination.
//
// Nothing is pinned: the program lives as long as this object's file descriptors, so a crash leaves nothing behind.
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
  // The inode of /proc/self/ns/net, or of what stands in /run/netns. The error says what is missing.
  static Result<EbpfDrops> Attach(std::uint32_t namespace_inode);

  EbpfDrops(EbpfDrops&&) noexcept;
  EbpfDrops& operator=(EbpfDrops&&) noexcept;
  ~EbpfDrops();

  // What was counted since the last call. Sleeps for the kernel's grace period, some milliseconds, when there is
  // something. On an error nothing is lost: what is left comes with the next call.
  Status Drain(const std::function<void(const CountedDrop&)>& visit);

  // Whose a translated packet, or a reply, is: that of its connection, from when the kernel has said how it keeps them,
  // which it does once conntrack is loaded. False until then: ask again. Until then it is its own source's.
  bool FollowConnections();

  // Since it was attached.
  struct Losses {
    std::uint64_t overflow = 0;  // dropped packets of sources for which the kernel's maps had no room
    std::uint64_t missed =
        0;  // freed packets, dropped by netfilter or not, that came while the program ran on the same CPU
    std::uint64_t no_ip = 0;  // dropped packets that are neither IPv4 nor IPv6
  };
  Result<Losses> ReadLosses() const;

  // Packets that the kernel dropped for reasons of its own, by these reasons (kernel_drop_reasons.h), in this network
  // namespace as far as the packet tells it. Those that this kernel has.
  std::map<std::string, std::uint64_t> ReadReasons() const;

 private:
  struct Loaded;
  explicit EbpfDrops(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace conntally
