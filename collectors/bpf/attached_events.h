// The BPF program for conntrack events, attached to ctnetlink_conntrack_event, and the ring that it writes.
//
// Either this process loads and attaches it, and it ends with the last descriptor, also after a crash. Or a privileged
// process has pinned it in the BPF file system (PinEvents); then it stays until it is unpinned, and is only opened
// here. A ring has one consumer, which locks the pins' directory.
//
// While the program is attached, nf_conntrack_netlink cannot be unloaded.
//
// Threads: one owner.
//
// Sources: events/conntrack_events.bpf.c; bpf(2); kernel/bpf/trampoline.c, kernel/trace/bpf_trace.c (what is missed).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "collectors/bpf/loading.h"
#include "collectors/bpf/ring_consumer.h"
#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally {

inline constexpr const char* kEventPins = "/sys/fs/bpf/conntally";

class AttachedEvents {
 public:
  // Loads and attaches, by fentry or else by kprobe.multi, with a ring for at least `capacity_events`.
  // nf_conntrack_netlink must be loaded. Delivers no event until the ring's namespace is set.
  static Result<std::unique_ptr<AttachedEvents>> Load(std::uint64_t capacity_events);

  // Opens what PinEvents left in `directory`. ENOENT: nothing is pinned; EBUSY: another process reads it.
  static Result<std::unique_ptr<AttachedEvents>> OpenPinned(const std::string& directory);

  AttachedEvents(const AttachedEvents&) = delete;
  AttachedEvents& operator=(const AttachedEvents&) = delete;
  ~AttachedEvents();

  RingConsumer& ring() { return *ring_; }
  std::uint64_t capacity_events() const { return capacity_events_; }

  // Events of all namespaces, since the program was attached, for which the kernel did not run it, because it was
  // already running on that CPU.
  Result<std::uint64_t> ReadMissed() const;

  // "fentry", "kprobe.multi" or "pinned".
  const std::string& way() const { return way_; }

 private:
  friend Status PinEvents(const std::string& directory, std::uint64_t capacity_events);

  AttachedEvents() = default;
  Status Map(int records, int counters);

  std::string way_;
  BpfObject object_;
  BpfLink link_;
  FileDescriptor lock_, opened_program_, opened_link_;
  int program_fd_ = -1;
  int link_fd_ = -1;
  std::uint64_t capacity_events_ = 0;
  void* records_ = nullptr;   // mapped
  void* counters_ = nullptr;  // mapped
  std::unique_ptr<RingConsumer> ring_;
};

// Loads, attaches and pins in `directory`, which it creates, for OpenPinned by members of its group. Replaces what was
// pinned there before.
Status PinEvents(const std::string& directory, std::uint64_t capacity_events);
// Removes what is pinned there, if anything.
Status UnpinEvents(const std::string& directory);

}  // namespace conntally
