#include "collectors/bpf/loading.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include "collectors/system/capabilities.h"

namespace conntally {
namespace {

int Silence(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

Result<BpfObject> OpenBpfObject(std::span<const unsigned char> file) {
  libbpf_set_print(Silence);
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "conntally");
  BpfObject object(bpf_object__open_mem(file.data(), file.size(), &options));
  if (!object) return ExplainBpf("cannot open the eBPF program", errno);
  return object;
}

std::string MissingBpfCapabilities() {
  if (HasCapability(CAP_SYS_ADMIN)) return {};
  std::string missing;
  const auto need = [&](unsigned capability, const char* name) {
    if (!HasCapability(capability)) missing += (missing.empty() ? "" : " and ") + std::string(name);
  };
  need(CAP_BPF, "CAP_BPF");
  need(CAP_PERFMON, "CAP_PERFMON");
  return missing;
}

Error ExplainBpf(const std::string& doing, int code) {
  if (const std::string missing = MissingBpfCapabilities(); !missing.empty()) {
    return {"needs CAP_BPF and CAP_PERFMON, and lacks " + missing, code};
  }
  // The checks below would fail for the same reason, and blame the kernel.
  if (code == EMFILE || code == ENFILE || code == ENOMEM) return Error::FromErrno(doing, code);
  struct stat types {};
  if (stat(kKernelTypesPath, &types) != 0) {
    return {std::string("the kernel does not describe its types: no ") + kKernelTypesPath + " (CONFIG_DEBUG_INFO_BTF)",
            code};
  }
  Error error = Error::FromErrno(doing, code);
  if (code == EPERM) error.message += ": perhaps by a user namespace, kernel lockdown or a system call filter";
  return error;
}

}  // namespace conntally
