// Helpers for loading BPF programs: owners of libbpf's handles, and explanations of refused loads. Any thread.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <span>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

// The kernel's BTF (CONFIG_DEBUG_INFO_BTF).
inline constexpr const char* kKernelTypesPath = "/sys/kernel/btf/vmlinux";

struct BpfFree {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using BpfObject = std::unique_ptr<bpf_object, BpfFree>;
using BpfLink = std::unique_ptr<bpf_link, BpfFree>;

// Opens, without loading, the program in an ELF file in memory, which must stay there. Silences libbpf's messages,
// which would go to stderr.
Result<BpfObject> OpenBpfObject(std::span<const unsigned char> file);

// Which of CAP_BPF and CAP_PERFMON the thread lacks; empty: none.
std::string MissingBpfCapabilities();

// Why the program could not be loaded or attached, as far as can be determined.
Error ExplainBpf(const std::string& doing, int code);

}  // namespace conntally
