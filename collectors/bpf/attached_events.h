// The program that hands conntrack events over, attached to ctnetlink_conntrack_event, and the ring that it writes.
//
// Either it is this process's own, loaded and attached here, and gone with the last descriptor, after a crash too; or
// it was pinned below the BPF file system by who may load it (PinEvents), stays there until it is unpinned, and is
// opened. A ring has one consumer: who opens it locks the pins' directory.
//
// While it is attached, nf_conntrack_netlink cannot be unloaded.
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
  // Loads and attaches, by fentry or else by kprobe.multi, with a ring for at least `capacity_events`. The functions of
  // nf_conntrack_netlink must be there. Takes no event until its ring is told of which namespace.
  static Result<std::unique_ptr<AttachedEvents>> Load(std::uint64_t capacity_events);

  // What PinEvents left in `directory`. ENOENT: nothing did; EBUSY: another process reads it.
  static Result<std::unique_ptr<AttachedEvents>> OpenPinned(const std::string& directory);

  AttachedEvents(const AttachedEvents&) = delete;
  AttachedEvents& operator=(const AttachedEvents&) = delete;
  ~AttachedEvents();

  RingConsumer& ring() { return *ring_; }
  std::uint64_t capacity_events() const { return capacity_events_; }

  // Events, of whatever namespace, at which the kernel did not run the program, since it runs nothing twice at a time
  // on a CPU. Since it was attached.
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
  void* counters_ = nullptr;  // likewise
  std::unique_ptr<RingConsumer> ring_;
};

// Loads, attaches and pins in `directory`, which is made, for OpenPinned of who is in its group. What was pinned there
// before is replaced.
Status PinEvents(const std::string& directory, std::uint64_t capacity_events);
// Removes what is pinned there. Nothing there: fine.
Status UnpinEvents(const std::string& directory);

}  // namespace conntally
