#include "collectors/drops/ebpf_drops.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/btf.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "collectors/bpf/loading.h"
#include "collectors/drops/ebpf/drop_record.h"
#include "collectors/drops/ebpf/object.h"

namespace conntally {
namespace {

constexpr std::uint32_t kBatchRecords = 4096;

struct FreeTypes {
  void operator()(btf* types) const { btf__free(types); }
};
using KernelTypes = std::unique_ptr<btf, FreeTypes>;

// So, too, where nothing is told of types: then that is the reason.
bool TellsDropReasons() {
  const KernelTypes types(btf__load_vmlinux_btf());
  if (!types) return true;
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
  const Error error = ExplainBpf(doing, code);
  const bool of_the_kernel = MissingBpfCapabilities().empty() && code != EMFILE && code != ENFILE && code != ENOMEM;
  if (!of_the_kernel || TellsDropReasons()) return error;
  return {"the kernel does not tell why it drops packets: Linux 5.17 or later does", code};
}

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
  BpfObject object;
  BpfLink link;
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
  if (!MissingBpfCapabilities().empty()) return Explain("", EPERM);
  auto loaded = std::make_unique<Loaded>();
  auto opened = OpenBpfObject(NetfilterDropsObject());
  if (!opened) return opened.error();
  loaded->object = std::move(*opened);
  bpf_object* object = loaded->object.get();

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
