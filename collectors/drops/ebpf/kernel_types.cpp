#include "collectors/drops/ebpf/kernel_types.h"

#include <bpf/btf.h>
#include <linux/btf.h>
#include <unistd.h>

#include <memory>
#include <string_view>

namespace conntally {
namespace {

constexpr std::uint32_t kTupleBytes = 40;  // as the eBPF program reads one

struct FreeTypes {
  void operator()(btf* types) const { btf__free(types); }
};
using Types = std::unique_ptr<btf, FreeTypes>;

struct Member {
  std::uint32_t offset = 0;  // bytes
  std::uint32_t type = 0;
};

std::optional<Member> FindMember(const btf* types, std::uint32_t structure, std::string_view name) {
  const btf_type* type = btf__type_by_id(types, structure);
  if (type == nullptr || !btf_is_struct(type)) return std::nullopt;
  const btf_member* members = btf_members(type);
  for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
    const char* named = btf__name_by_offset(types, members[i].name_off);
    if (named != nullptr && name == named) return Member{btf_member_bit_offset(type, i) / 8, members[i].type};
  }
  return std::nullopt;
}

// tuplehash is an array of two; the original direction is first.
std::optional<connection_layout> LayoutIn(const btf* types) {
  const int connection = btf__find_by_name_kind(types, "nf_conn", BTF_KIND_STRUCT);
  if (connection < 0) return std::nullopt;
  const auto status = FindMember(types, static_cast<std::uint32_t>(connection), "status");
  const auto hashes = FindMember(types, static_cast<std::uint32_t>(connection), "tuplehash");
  if (!status || !hashes) return std::nullopt;
  const btf_type* array = btf__type_by_id(types, hashes->type);
  if (array == nullptr || !btf_is_array(array)) return std::nullopt;
  const auto tuple = FindMember(types, btf_array(array)->type, "tuple");
  if (!tuple || btf__resolve_size(types, tuple->type) != kTupleBytes) return std::nullopt;
  return connection_layout{1, status->offset, hashes->offset + tuple->offset};
}

std::map<std::string, std::uint32_t> DropReasonsIn(const btf* types) {
  constexpr std::string_view kPrefix = "SKB_DROP_REASON_";
  std::map<std::string, std::uint32_t> reasons;
  const int found = btf__find_by_name_kind(types, "skb_drop_reason", BTF_KIND_ENUM);
  if (found < 0) return reasons;
  const btf_type* type = btf__type_by_id(types, static_cast<std::uint32_t>(found));
  const struct btf_enum* values = btf_enum(type);
  for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
    const std::string_view name = btf__name_by_offset(types, values[i].name_off);
    if (name.starts_with(kPrefix))
      reasons.emplace(name.substr(kPrefix.size()), static_cast<std::uint32_t>(values[i].val));
  }
  return reasons;
}

}  // namespace

KernelTypes ReadKernelTypes() {
  const Types types(btf__load_vmlinux_btf());
  if (!types) return {};
  return {DropReasonsIn(types.get()), LayoutIn(types.get())};
}

bool DescribesConntrackModule() { return access("/sys/kernel/btf/nf_conntrack", R_OK) == 0; }

std::optional<connection_layout> ReadConntrackModule() {
  const Types types(btf__load_vmlinux_btf());
  const Types of_module(types ? btf__load_module_btf("nf_conntrack", types.get()) : nullptr);
  return of_module ? LayoutIn(of_module.get()) : std::nullopt;
}

}  // namespace conntally
