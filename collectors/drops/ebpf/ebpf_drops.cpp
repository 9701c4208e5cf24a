#include "collectors/drops/ebpf/ebpf_drops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "collectors/bpf/loading.h"
#include "collectors/drops/ebpf/kernel_drop_reasons.h"
#include "collectors/drops/ebpf/kernel_types.h"
#include "collectors/drops/ebpf/program/drop_record.h"
#include "collectors/drops/ebpf/program/object.h"

namespace conntally {
namespace {

constexpr std::uint32_t kBatchRecords = 4096;

// Why it could not be loaded, as far as can be determined.
Error Explain(const char* doing, int code) {
  const Error error = ExplainBpf(doing, code);
  const bool of_the_kernel = MissingBpfCapabilities().empty() && code != EMFILE && code != ENFILE && code != ENOMEM;
  if (!of_the_kernel || access(kKernelTypesPath, R_OK) != 0) return error;
  if (ReadKernelTypes().drop_reasons.contains("NETFILTER_DROP")) return error;
  return {"the kernel does not tell why it drops packets: Linux 5.17 or later does", code};
}

IpAddress ToAddress(const unsigned char (&bytes)[16], const drop_record_key& record) {
  IpAddress address;
  address.family = record.family == 4 ? Family::kIpv4 : Family::kIpv6;
  std::copy(std::begin(bytes), std::end(bytes), address.bytes.begin());
  return address;
}

CountedDrop ToCountedDrop(const drop_record_key& record, std::uint64_t packets) {
  const bool whole = (record.flags & DROP_WITHOUT_DESTINATION) == 0;
  CountedDrop drop;
  drop.key.source = ToAddress(record.source, record);
  if (whole) drop.key.destination = ToAddress(record.destination, record);
  drop.key.protocol = record.protocol;
  drop.key.destination_port = record.destination_port;
  if ((record.flags & DROP_HAS_ICMP_TYPE) != 0) drop.key.icmp_type = record.icmp_type;
  drop.key.hooks = HookSet(record.hooks);
  drop.key.state = record.state;
  drop.key.in_interface = record.in_interface;
  drop.key.out_interface = record.out_interface;
  if ((record.flags & DROP_HAS_ORIGINAL) != 0) {
    DropEnds& original = drop.key.original.emplace();
    original.source = ToAddress(record.original_source, record);
    if (whole) original.destination = ToAddress(record.original_destination, record);
    original.destination_port = record.original_port;
  }
  drop.packets = packets;
  return drop;
}

// Sets, by the kernel's number, the index in kKernelDropReasons plus 1.
void NumberReasons(const std::map<std::string, std::uint32_t>& numbers, unsigned char (&slots)[DROP_REASON_NUMBERS]) {
  for (std::size_t i = 0; i < kKernelDropReasons.size(); ++i) {
    const auto number = numbers.find(std::string(kKernelDropReasons[i]));
    if (number != numbers.end() && number->second < DROP_REASON_NUMBERS)
      slots[number->second] = static_cast<unsigned char>(i + 1);
  }
}

// Two maps: the program writes to one while the other is emptied.
struct SwappedMaps {
  std::array<int, 2> records{};  // file descriptors, owned by the object
  int current = -1;
  std::size_t active = 0;   // the index of the map that the program writes to
  bool unfinished = false;  // the other one has not been emptied completely

  std::vector<drop_record_key> keys = std::vector<drop_record_key>(kBatchRecords);
  std::vector<std::uint64_t> packets = std::vector<std::uint64_t>(kBatchRecords);

  Status Drain(const std::function<void(const CountedDrop&)>& visit);

 private:
  Status Swap();
  Status Empty(int map, const std::function<void(const CountedDrop&)>& visit);
};

// The values of a map's only slot, per CPU.
template <typename T>
Result<std::vector<T>> ReadOfCpus(int map) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1) return Error::FromErrno("cannot count the CPUs", -cpus);
  std::vector<T> of_cpus(static_cast<std::size_t>(cpus));
  const std::uint32_t slot = 0;
  if (bpf_map_lookup_elem(map, &slot, of_cpus.data()) != 0)
    return Error::FromErrno("cannot read what the eBPF program counts", errno);
  return of_cpus;
}

Result<drop_sums> SumOfCpus(int map) {
  const auto of_cpus = ReadOfCpus<drop_sums>(map);
  if (!of_cpus) return of_cpus.error();
  drop_sums sum{};
  for (const drop_sums& of_cpu : *of_cpus) {
    sum.counted += of_cpu.counted;
    sum.overflow += of_cpu.overflow;
    sum.no_ip += of_cpu.no_ip;
  }
  return sum;
}

}  // namespace

struct EbpfDrops::Loaded {
  BpfObject object;
  BpfLink link;
  bpf_program* program = nullptr;
  SwappedMaps records, sources;
  std::uint64_t drained = 0;  // drop_sums.counted at the last complete Drain
  int sums = -1;
  int reasons = -1;
  int layout = -1;
  bool follows = false;       // connections
  bool asked_module = false;  // for the layout of connections
  drop_settings settings{};

  void Follow(const std::optional<connection_layout>& connections);
  int Map(const char* name) const { return bpf_object__find_map_fd_by_name(object.get(), name); }
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

  drop_settings& settings = loaded->settings;
  settings.namespace_inode = namespace_inode;
  const KernelTypes types = ReadKernelTypes();
  NumberReasons(types.drop_reasons, settings.reason_slots);
  bpf_map* settings_map = bpf_object__find_map_by_name(object, ".rodata.settings");
  if (settings_map == nullptr || bpf_map__set_initial_value(settings_map, &settings, sizeof settings) != 0) {
    return Error{"the eBPF program does not take its settings", EINVAL};
  }

  if (const int failed = bpf_object__load(object); failed != 0) return Explain("cannot load the eBPF program", -failed);
  loaded->program = bpf_object__find_program_by_name(object, "on_kfree_skb");
  loaded->records.records = {loaded->Map("records_a"), loaded->Map("records_b")};
  loaded->records.current = loaded->Map("current");
  loaded->sources.records = {loaded->Map("sources_a"), loaded->Map("sources_b")};
  loaded->sources.current = loaded->Map("current_sources");
  loaded->sums = loaded->Map("sums");
  loaded->reasons = loaded->Map("reasons");
  loaded->layout = loaded->Map(".data.layout");
  loaded->Follow(types.connections);
  loaded->link.reset(bpf_program__attach(loaded->program));
  if (!loaded->link) return Explain("cannot attach to the tracepoint kfree_skb", errno);
  return EbpfDrops(std::move(loaded));
}

// The program checks `known` first, so it is set last.
void EbpfDrops::Loaded::Follow(const std::optional<connection_layout>& connections) {
  if (!connections) return;
  const std::uint32_t slot = 0;
  for (const unsigned known : {0U, 1U}) {
    connection_layout told = *connections;
    told.known = known;
    follows = bpf_map_update_elem(layout, &slot, &told, BPF_ANY) == 0;
  }
}

bool EbpfDrops::FollowConnections() {
  if (!loaded_->follows && !loaded_->asked_module && DescribesConntrackModule()) {
    loaded_->asked_module = true;
    loaded_->Follow(ReadConntrackModule());
  }
  return loaded_->follows;
}

Status SwappedMaps::Swap() {
  const std::uint32_t slot = 0;
  const int next = records[1 - active];
  if (bpf_map_update_elem(current, &slot, &next, BPF_ANY) != 0)
    return Error::FromErrno("cannot swap the eBPF maps", errno);
  active = 1 - active;
  unfinished = true;
  return Ok();
}

Status SwappedMaps::Empty(int map, const std::function<void(const CountedDrop&)>& visit) {
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

Status SwappedMaps::Drain(const std::function<void(const CountedDrop&)>& visit) {
  if (!unfinished) {
    drop_record_key first;
    if (bpf_map_get_next_key(records[active], nullptr, &first) != 0) return Ok();  // empty
    if (const auto swapped = Swap(); !swapped) return swapped;
  }
  const auto emptied = Empty(records[1 - active], visit);
  if (emptied) unfinished = false;
  return emptied;
}

// To find that a map is empty, the kernel looks at all its buckets.
Status EbpfDrops::Drain(const std::function<void(const CountedDrop&)>& visit) {
  const auto sums = SumOfCpus(loaded_->sums);
  if (!sums) return sums.error();
  if (sums->counted == loaded_->drained) return Ok();
  if (const auto drained = loaded_->records.Drain(visit); !drained) return drained;
  if (const auto drained = loaded_->sources.Drain(visit); !drained) return drained;
  loaded_->drained = sums->counted;
  return Ok();
}

Result<EbpfDrops::Losses> EbpfDrops::ReadLosses() const {
  const auto sums = SumOfCpus(loaded_->sums);
  if (!sums) return sums.error();
  Losses losses{.overflow = sums->overflow, .no_ip = sums->no_ip};
  bpf_prog_info info{};
  std::uint32_t info_bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(loaded_->program), &info, &info_bytes) == 0) {
    losses.missed = info.recursion_misses;
  }
  return losses;
}

std::map<std::string, std::uint64_t> EbpfDrops::ReadReasons() const {
  std::map<std::string, std::uint64_t> packets;
  const auto of_cpus = ReadOfCpus<drop_reasons>(loaded_->reasons);
  if (!of_cpus) return packets;
  for (const unsigned char slot : loaded_->settings.reason_slots) {
    if (slot == 0) continue;
    std::uint64_t& sum = packets[std::string(kKernelDropReasons[slot - 1])];
    for (const drop_reasons& of_cpu : *of_cpus) sum += of_cpu.packets[slot - 1];
  }
  return packets;
}

}  // namespace conntally
