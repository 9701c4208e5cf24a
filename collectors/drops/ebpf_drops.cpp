#include "collectors/drops/ebpf_drops.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "collectors/drops/ebpf/drop_record.h"
#include "collectors/drops/ebpf/object.h"
#include "collectors/system/capabilities.h"

namespace conntally {
namespace {

constexpr const char* kKernelTypes = "/sys/kernel/btf/vmlinux";
constexpr std::uint32_t kBatchRecords = 4096;

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* handle) const { kFree(handle); }
};
void DestroyLink(bpf_link* link) { bpf_link__destroy(link); }
using Object = std::unique_ptr<bpf_object, Free<bpf_object, bpf_object__close>>;
using Link = std::unique_ptr<bpf_link, Free<bpf_link, DestroyLink>>;
using KernelTypes = std::unique_ptr<btf, Free<btf, btf__free>>;

std::string MissingCapabilities() {
  if (HasCapability(CAP_SYS_ADMIN)) return {};
  std::string missing;
  const auto need = [&](unsigned capability, const char* name) {
    if (!HasCapability(capability)) missing += (missing.empty() ? "" : " and ") + std::string(name);
  };
  need(CAP_BPF, "CAP_BPF");
  need(CAP_PERFMON, "CAP_PERFMON");
  return missing;
}

bool TellsDropReasons() {
  const KernelTypes types(btf__load_vmlinux_btf());
  if (!types) return false;
  const int reasons = btf__find_by_name_kind(types.get(), "skb_drop_reason", BTF_KIND_ENUM);
  if (reasons < 0) return false;
  const btf_type* type = btf__type_by_id(types.get(), static_cast<std::uint32_t>(reasons));
  const struct btf_enum* first = btf_enum(type);
  return std::any_of(first, first + btf_vlen(type), [&](const struct btf_enum& reason) {
    return std::string_view(btf__name_by_offset(types.get(), reason.name_off)) == "SKB_DROP_REASON_NETFILTER_DROP";
  });
}

// Why it could not be loaded, as far as that can be found out.
Error Explain(const char* doing, int code) {
  if (const std::string missing = MissingCapabilities(); !missing.empty()) {
    return {"needs CAP_BPF and CAP_PERFMON, and lacks " + missing, code};
  }
  // What follows would want some, too, and blame the kernel.
  if (code == EMFILE || code == ENFILE || code == ENOMEM) return Error::FromErrno(doing, code);
  struct stat types {};
  if (stat(kKernelTypes, &types) != 0) {
    return {std::string("the kernel does not describe its types: no ") + kKernelTypes + " (CONFIG_DEBUG_INFO_BTF)",
            code};
  }
  if (!TellsDropReasons()) return {"the kernel does not tell why it drops packets: Linux 5.17 or later does", code};
  Error error = Error::FromErrno(doing, code);
  if (code == EPERM) error.message += ": a user namespace, kernel lockdown or a system call filter forbids bpf(2)";
  return error;
}

// libbpf's own words would go to stderr, beside the log.
int Silence(libbpf_print_level, const char*, va_list) { return 0; }

CountedDrop ToCountedDrop(const drop_record_key& record, std::uint64_t packets) {
  CountedDrop drop;
  std::copy(std::begin(record.source), std::end(record.source), drop.key.source.bytes.begin());
  drop.key.source.family = record.family == 4 ? Family::kIpv4 : Family::kIpv6;
  drop.key.protocol = record.protocol;
  drop.key.destination_port = record.destination_port;
  drop.key.hooks = HookSet(record.hooks);
  drop.key.in_interface = record.in_interface;
  drop.key.out_interface = record.out_interface;
  drop.packets = packets;
  return drop;
}

}  // namespace

struct EbpfDrops::Loaded {
  Object object;
  Link link;
  bpf_program* program = nullptr;
  std::array<int, 2> records{};  // file descriptors, owned by the object
  int current = -1;
  int losses = -1;
  std::size_t active = 0;   // which of the records the program writes
  bool unfinished = false;  // the other one has not been emptied to its end

  std::vector<drop_record_key> keys = std::vector<drop_record_key>(kBatchRecords);
  std::vector<std::uint64_t> packets = std::vector<std::uint64_t>(kBatchRecords);

  Status Swap();
  Status Empty(int map, const std::function<void(const CountedDrop&)>& visit);
};

EbpfDrops::EbpfDrops(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
EbpfDrops::EbpfDrops(EbpfDrops&&) noexcept = default;
EbpfDrops& EbpfDrops::operator=(EbpfDrops&&) noexcept = default;
EbpfDrops::~EbpfDrops() = default;

Result<EbpfDrops> EbpfDrops::Attach(std::uint32_t namespace_inode) {
  libbpf_set_print(Silence);
  if (!MissingCapabilities().empty()) return Explain("", EPERM);
  auto loaded = std::make_unique<Loaded>();
  const auto bytes = NetfilterDropsObject();
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "conntally");
  loaded->object.reset(bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  bpf_object* object = loaded->object.get();
  if (object == nullptr) return Explain("cannot open the eBPF program", errno);

  const drop_settings settings{.namespace_inode = namespace_inode};
  bpf_map* settings_map = bpf_object__find_map_by_name(object, ".rodata.settings");
  if (settings_map == nullptr || bpf_map__set_initial_value(settings_map, &settings, sizeof settings) != 0) {
    return Error{"the eBPF program does not take its settings", EINVAL};
  }

  if (const int failed = bpf_object__load(object); failed != 0) return Explain("cannot load the eBPF program", -failed);
  loaded->program = bpf_object__find_program_by_name(object, "on_kfree_skb");
  loaded->records = {bpf_object__find_map_fd_by_name(object, "records_a"),
                     bpf_object__find_map_fd_by_name(object, "records_b")};
  loaded->current = bpf_object__find_map_fd_by_name(object, "current");
  loaded->losses = bpf_object__find_map_fd_by_name(object, "losses");
  loaded->link.reset(bpf_program__attach(loaded->program));
  if (!loaded->link) return Explain("cannot attach to the tracepoint kfree_skb", errno);
  return EbpfDrops(std::move(loaded));
}

Status EbpfDrops::Loaded::Swap() {
  const std::uint32_t slot = 0;
  const int next = records[1 - active];
  if (bpf_map_update_elem(current, &slot, &next, BPF_ANY) != 0)
    return Error::FromErrno("cannot swap the eBPF maps", errno);
  active = 1 - active;
  unfinished = true;
  return Ok();
}

Status EbpfDrops::Loaded::Empty(int map, const std::function<void(const CountedDrop&)>& visit) {
  std::uint32_t position = 0;
  bool first = true;
  for (;;) {
    std::uint32_t count = kBatchRecords;
    const int failed = bpf_map_lookup_and_delete_batch(map, first ? nullptr : &position, &position, keys.data(),
                                                       packets.data(), &count, nullptr);
    const int code = failed != 0 ? errno : 0;
    if (code != 0 && code != ENOENT) return Error::FromErrno("cannot read the eBPF map", code);
    for (std::uint32_t i = 0; i < count; ++i) visit(ToCountedDrop(keys[i], packets[i]));
    if (code == ENOENT) return Ok();  // that was all
    first = false;
  }
}

Status EbpfDrops::Drain(const std::function<void(const CountedDrop&)>& visit) {
  if (!loaded_->unfinished) {
    drop_record_key first;
    if (bpf_map_get_next_key(loaded_->records[loaded_->active], nullptr, &first) != 0) return Ok();  // empty
    if (const auto swapped = loaded_->Swap(); !swapped) return swapped;
  }
  const auto emptied = loaded_->Empty(loaded_->records[1 - loaded_->active], visit);
  if (emptied) loaded_->unfinished = false;
  return emptied;
}

Result<EbpfDrops::Losses> EbpfDrops::ReadLosses() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) return Error::FromErrno("cannot count the CPUs", -cpus);
  std::vector<drop_losses> of_cpus(static_cast<std::size_t>(cpus));
  const std::uint32_t slot = 0;
  if (bpf_map_lookup_elem(loaded_->losses, &slot, of_cpus.data()) != 0) {
    return Error::FromErrno("cannot read the eBPF program's losses", errno);
  }
  Losses losses;
  for (const drop_losses& of_cpu : of_cpus) {
    losses.overflow += of_cpu.overflow;
    losses.no_ip += of_cpu.no_ip;
  }
  bpf_prog_info info{};
  std::uint32_t info_bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(loaded_->program), &info, &info_bytes) == 0) {
    losses.missed = info.recursion_misses;
  }
  return losses;
}

}  // namespace conntally
