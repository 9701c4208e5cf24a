#include "collectors/bpf/attached_events.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>

#include "collectors/bpf/events/object.h"
#include "collectors/system/capabilities.h"

namespace conntally {
namespace {

constexpr const char* kFunction = "ctnetlink_conntrack_event";

std::uint64_t Cpus() { return static_cast<std::uint64_t>(std::max(libbpf_num_possible_cpus(), 1)); }

struct Loaded {
  BpfObject object;
  BpfLink link;
  bpf_program* program = nullptr;
};

// A power of two, so that a ticket's low bits are its slot, of which what the protocol keeps free is a quarter at most.
std::uint32_t Slots(std::uint64_t capacity_events) {
  return static_cast<std::uint32_t>(std::bit_ceil(std::max<std::uint64_t>(capacity_events + Cpus(), 4 * Cpus())));
}

Result<Loaded> LoadProgram(const char* name, std::uint32_t slots) {
  Loaded loaded;
  auto opened = OpenBpfObject(ConntrackEventsObject());
  if (!opened) return opened.error();
  loaded.object = std::move(*opened);
  bpf_object* object = loaded.object.get();
  loaded.program = bpf_object__find_program_by_name(object, name);
  bpf_map* records = bpf_object__find_map_by_name(object, "records");
  if (loaded.program == nullptr || records == nullptr || bpf_map__set_max_entries(records, slots) != 0) {
    return Error{"the eBPF program of events is not as it was built", EINVAL};
  }
  bpf_program__set_autoload(loaded.program, true);
  if (const int failed = bpf_object__load(object); failed != 0) {
    return ExplainBpf("cannot load the eBPF program of events", -failed);
  }
  return loaded;
}

Result<Loaded> AttachFentry(std::uint32_t slots) {
  // Before Linux 6.13, looking up a module's types iterates over the machine's BTF objects, which needs CAP_SYS_ADMIN.
  if (!HasCapability(CAP_SYS_ADMIN)) return Error{"needs CAP_SYS_ADMIN", EPERM};
  auto loaded = LoadProgram("on_event_typed", slots);
  if (!loaded) return loaded;
  loaded->link.reset(bpf_program__attach(loaded->program));
  if (!loaded->link) return Error::FromErrno(std::string("cannot attach to ") + kFunction, errno);
  return loaded;
}

Result<Loaded> AttachKprobeMulti(std::uint32_t slots) {
  auto loaded = LoadProgram("on_event", slots);
  if (!loaded) return loaded;
  std::array<const char*, 1> symbols{kFunction};
  LIBBPF_OPTS(bpf_kprobe_multi_opts, options, .syms = symbols.data(), .cnt = symbols.size());
  loaded->link.reset(bpf_program__attach_kprobe_multi_opts(loaded->program, nullptr, &options));
  if (!loaded->link) return Error::FromErrno(std::string("cannot attach to ") + kFunction, errno);
  return loaded;
}

// What bpf_link_info has of a kprobe.multi link (linux/bpf.h of 6.7 and later, which is newer than the header here may
// be). An older kernel leaves `missed` unchanged.
struct KprobeMultiInfo {
  std::uint32_t type = 0, id = 0, program_id = 0, pad = 0;
  std::uint64_t addresses = 0;
  std::uint32_t count = 0, flags = 0;
  std::uint64_t missed = 0;
};

}  // namespace

Result<std::unique_ptr<AttachedEvents>> AttachedEvents::Load(std::uint64_t capacity_events) {
  if (const std::string missing = MissingBpfCapabilities(); !missing.empty()) return ExplainBpf("", EPERM);
  std::unique_ptr<AttachedEvents> events(new AttachedEvents);
  events->way_ = "fentry";
  auto loaded = AttachFentry(Slots(capacity_events));
  if (!loaded) {
    const std::string by_fentry = loaded.error().message;
    events->way_ = "kprobe.multi";
    loaded = AttachKprobeMulti(Slots(capacity_events));
    if (!loaded) {
      return Error{"fentry: " + by_fentry + "; kprobe.multi: " + loaded.error().message, loaded.error().code};
    }
  }
  events->object_ = std::move(loaded->object);
  events->link_ = std::move(loaded->link);
  events->program_fd_ = bpf_program__fd(loaded->program);
  events->link_fd_ = bpf_link__fd(events->link_.get());
  const auto mapped = events->Map(bpf_object__find_map_fd_by_name(events->object_.get(), "records"),
                                  bpf_object__find_map_fd_by_name(events->object_.get(), ".data.counters"));
  if (!mapped) return mapped.error();
  return events;
}

AttachedEvents::~AttachedEvents() {
  if (ring_) ring_->set_namespace(0);
  if (counters_ != nullptr) munmap(counters_, sizeof(conntrack_event_counters));
  if (records_ != nullptr) munmap(records_, capacity_events_ * sizeof(conntrack_event_record));
}

Status AttachedEvents::Map(int records, int counters) {
  bpf_map_info info{};
  std::uint32_t info_bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(records, &info, &info_bytes) != 0) {
    return Error::FromErrno("cannot look at the ring of events", errno);
  }
  if (info.value_size != sizeof(conntrack_event_record) || !std::has_single_bit(info.max_entries)) {
    return Error{"the ring of events is of another version of conntally", EINVAL};
  }
  capacity_events_ = info.max_entries;
  const auto map = [](int fd, std::size_t bytes, int rights) -> void* {
    void* at = mmap(nullptr, bytes, rights, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? nullptr : at;
  };
  records_ = map(records, capacity_events_ * sizeof(conntrack_event_record), PROT_READ);
  if (records_ != nullptr) counters_ = map(counters, sizeof(conntrack_event_counters), PROT_READ | PROT_WRITE);
  if (counters_ == nullptr) return Error::FromErrno("cannot map the ring of events", errno);
  ring_ =
      std::make_unique<RingConsumer>(std::span(static_cast<const conntrack_event_record*>(records_), capacity_events_),
                                     *static_cast<conntrack_event_counters*>(counters_), Cpus());
  return Ok();
}

Result<std::uint64_t> AttachedEvents::ReadMissed() const {
  bpf_prog_info program{};
  std::uint32_t bytes = sizeof program;
  if (bpf_obj_get_info_by_fd(program_fd_, &program, &bytes) != 0) {
    return Error::FromErrno("cannot ask what the eBPF program of events missed", errno);
  }
  KprobeMultiInfo link;
  bytes = sizeof link;
  const bool told = bpf_obj_get_info_by_fd(link_fd_, &link, &bytes) == 0 && link.type == BPF_LINK_TYPE_KPROBE_MULTI;
  return program.recursion_misses + (told ? link.missed : 0);
}

}  // namespace conntally
