// Opens each way, again after failures, and counts their losses.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "daemon/drops/drop_ways.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 5s;

// Errors that may pass, unlike a missing capability or kernel feature.
bool Passes(const Error& error) {
  constexpr std::array kPassing = {EAGAIN, EINTR, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM};
  return std::find(kPassing.begin(), kPassing.end(), error.code) != kPassing.end();
}

}  // namespace

// eBPF before the log: do not read log lines from before eBPF sees the packets.
void DropCollector::OpenWanted(Ways& ways) {
  if (Clock::now() < ways.next_open) return;
  ways.next_open = Clock::now() + kRetry;
  if (ways.ebpf_wanted) AttachEbpf(ways);
  if (ways.ebpf) ways.ebpf->FollowConnections();
  if (ways.kernel_log_wanted) OpenKernelLog(ways);
}

void DropCollector::AttachEbpf(Ways& ways) {
  // By the thread's own namespace: the path may refer to another one by now.
  const auto id = IdentifyNetworkNamespace(kOwnNetworkNamespace);
  auto attached = id ? EbpfDrops::Attach(static_cast<std::uint32_t>(id->inode)) : Result<EbpfDrops>(id.error());
  ways.ebpf_wanted = !attached && Passes(attached.error());
  if (attached) {
    ways.ebpf = std::move(*attached);
    tally_.set_ebpf_counts(true);
    spdlog::info("drops: eBPF counts the packets that netfilter drops");
    Publish("ebpf", {true, 0, {}});
    return;
  }
  tally_.set_ebpf_counts(false);
  const bool wanted = options_.drops.ebpf == Config::Switch::kOn;
  const std::string& reason = attached.error().message;
  if (ways.ebpf_wanted) return Publish("ebpf", {false, 0, reason + "; trying again"});
  if (!wanted) spdlog::warn("drops: eBPF is off: {}", reason);
  Publish("ebpf", {false, 0, reason, !wanted});
}

void DropCollector::OpenKernelLog(Ways& ways) {
  auto opened = KernelLog::Open(options_.kernel_log_path);
  ways.kernel_log_wanted = !opened && Passes(opened.error());
  if (opened) {
    ways.kernel_log = std::move(*opened);
    Publish("kernel_log", {true, 0, {}});
    return;
  }
  if (ways.kernel_log_wanted) return Publish("kernel_log", {false, 0, opened.error().message + "; trying again"});
  spdlog::warn("drops: the kernel's log is off: {}", opened.error().message);
  Publish("kernel_log", {false, 0, opened.error().message, true});
}

// Binds the groups that are not bound yet; one held by another process may become free.
void DropCollector::BindNflogGroups(Ways& ways) {
  if (ways.unbound_groups.empty() || Clock::now() < ways.next_bind) return;
  ways.next_bind = Clock::now() + kRetry;
  std::string failure;
  std::erase_if(ways.unbound_groups, [&](std::uint16_t group) {
    auto bound = NflogListener::Bind(group);
    if (!bound) {
      failure += (failure.empty() ? "" : "; ") + bound.error().message;
      return false;
    }
    ways.nflog.push_back(std::move(*bound));
    spdlog::info("drops: listening to NFLOG group {}", group);
    return true;
  });
  Publish("nflog", {failure.empty(), 0, failure});
}

// Losses by the overflow's name.
std::map<std::string, std::uint64_t> DropCollector::NamespaceLosses(const Ways& ways) {
  std::map<std::string, std::uint64_t> losses = ways.losses_before;
  if (ways.ebpf) {
    if (const auto of_ebpf = ways.ebpf->ReadLosses()) {
      losses["drops_ebpf"] += of_ebpf->overflow;
      losses["drops_ebpf_missed"] += of_ebpf->missed;
      losses["drops_not_ip"] += of_ebpf->no_ip;
    }
  }
  for (const NflogListener& listener : ways.nflog) {
    losses["nflog"] += listener.lost();
    losses["nflog_not_ip"] += listener.skipped();
  }
  return losses;
}

std::map<std::string, std::uint64_t> DropCollector::ReasonsOf(const Ways& ways) {
  std::map<std::string, std::uint64_t> reasons = ways.reasons_before;
  if (!ways.ebpf) return reasons;
  for (const auto& [reason, packets] : ways.ebpf->ReadReasons()) reasons[reason] += packets;
  return reasons;
}

}  // namespace conntally
