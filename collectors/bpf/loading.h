// What loading programs into the kernel has in common, whatever they do: libbpf's handles with their owners, and why a
// load was refused. Any thread.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <span>
#include <string>

#include "collectors/system/result.h"

namespace conntally {

struct BpfFree {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using BpfObject = std::unique_ptr<bpf_object, BpfFree>;
using BpfLink = std::unique_ptr<bpf_link, BpfFree>;

// The program in an ELF file in memory, which stays; not loaded yet. libbpf's own words are silenced: they would go to
// stderr, beside the log.
Result<BpfObject> OpenBpfObject(std::span<const unsigned char> file);

// Of CAP_BPF and CAP_PERFMON, those that the thread lacks; empty: none.
std::string MissingBpfCapabilities();

// Why it could not be loaded or attached, as far as that can be found out from outside the program.
Error ExplainBpf(const std::string& doing, int code);

}  // namespace conntally
