// Changes a legacy table as the kernel writes it (linux/netfilter/x_tables.h), so that a change is not refused at the
// first length.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "collectors/rules/iptables/legacy_blob.h"
#include "test/fuzz/choice.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace conntally::fuzz {

class LegacyBlob {
 public:
  using Octets = std::vector<std::uint8_t>;

  // What cannot be read as entries is left away.
  explicit LegacyBlob(std::span<const std::uint8_t> octets) : ipv6_((octets[0] & 1) != 0) {
    std::memcpy(&info_, octets.data() + 1, sizeof info_);
    octets = octets.subspan(1 + sizeof info_);
    while (octets.size() >= HeadBytes() + kExtensionBytes) {
      const std::size_t target = Load(octets, TargetPlace()), next = Load(octets, TargetPlace() + 2);
      if (target < HeadBytes() || next < target + kExtensionBytes || next > octets.size()) break;
      Entry entry{Octets(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(HeadBytes())), {}};
      for (auto rest = octets.subspan(HeadBytes(), next - HeadBytes()); rest.size() >= kExtensionBytes;) {
        const std::size_t length = std::clamp<std::size_t>(Load(rest, 0), kExtensionBytes, rest.size());
        entry.extensions.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
        rest = rest.subspan(length);
      }
      entries_.push_back(std::move(entry));
      octets = octets.subspan(next);
    }
  }

  void Change(Choice& choice) {
    if (entries_.empty()) return;
    Entry& chosen = entries_[choice.Below(entries_.size())];
    switch (choice.Below(8)) {
      case 0:
        entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(choice.Below(entries_.size())), Entry(chosen));
        return;
      case 1: entries_.erase(entries_.begin() + (&chosen - entries_.data())); return;
      case 2: std::swap(chosen, entries_[choice.Below(entries_.size())]); return;
      case 3: hook_ = choice.Below(64); return;
      case 4: SetNumber(chosen.head, choice); return;
      case 5:
        chosen.extensions.insert(chosen.extensions.begin(),
                                 Octets(chosen.extensions[choice.Below(chosen.extensions.size())]));
        return;
      default: ChangeExtension(chosen.extensions[choice.Below(chosen.extensions.size())], choice);
    }
  }

  Octets Write() {
    Octets octets(1 + sizeof info_);
    std::vector<std::size_t> places;
    for (Entry& entry : entries_) {
      places.push_back(octets.size() - 1 - sizeof info_);
      std::size_t next = HeadBytes(), target = next;
      for (Octets& extension : entry.extensions) {
        Store(extension, 0, extension.size());
        target = next;
        next += extension.size();
      }
      Store(entry.head, TargetPlace(), target);
      Store(entry.head, TargetPlace() + 2, next);
      octets.insert(octets.end(), entry.head.begin(), entry.head.end());
      for (const Octets& extension : entry.extensions) octets.insert(octets.end(), extension.begin(), extension.end());
    }
    if (hook_ < 64 && !places.empty()) {
      info_.valid_hooks |= 1U << hook_ % LegacyInfo::kHooks;
      info_.hook_entry[hook_ % LegacyInfo::kHooks] = static_cast<std::uint32_t>(places[hook_ % places.size()]);
      info_.underflow[hook_ / 2 % LegacyInfo::kHooks] = static_cast<std::uint32_t>(places[hook_ / 3 % places.size()]);
    }
    octets[0] = static_cast<std::uint8_t>(ipv6_);
    std::memcpy(octets.data() + 1, &info_, sizeof info_);
    return octets;
  }

 private:
  static constexpr std::size_t kExtensionBytes = 32;  // struct xt_entry_match: length, name, revision
  struct Entry {
    Octets head;                     // struct ipt_entry or ip6t_entry
    std::vector<Octets> extensions;  // matches; the last is the target
  };

  std::size_t HeadBytes() const { return ipv6_ ? 168 : 112; }
  std::size_t TargetPlace() const { return ipv6_ ? 140 : 88; }

  static std::size_t Load(std::span<const std::uint8_t> octets, std::size_t at) {
    std::uint16_t number = 0;
    std::memcpy(&number, octets.data() + at, sizeof number);
    return number;
  }

  static void Store(Octets& octets, std::size_t at, std::size_t number) {
    const auto written = static_cast<std::uint16_t>(number);
    std::memcpy(octets.data() + at, &written, sizeof written);
  }

  static void SetNumber(Octets& octets, Choice& choice, std::size_t from = 0) {
    if (octets.size() <= from) return;
    const std::uint64_t number = choice.Number();
    const std::size_t at = from + choice.Below(octets.size() - from);
    std::memcpy(octets.data() + at, &number,
                std::min<std::size_t>(octets.size() - at, std::size_t{1} << choice.Below(4)));
  }

  static void ChangeExtension(Octets& extension, Choice& choice) {
    static constexpr const char* kNames[] = {
        "",          "ERROR",     "REJECT",   "LOG",   "NFLOG",   "DNAT",     "SNAT",    "MASQUERADE", "REDIRECT",
        "NETMAP",    "MARK",      "CONNMARK", "SET",   "CT",      "NOTRACK",  "TPROXY",  "comment",    "connlimit",
        "conntrack", "hashlimit", "icmp",     "icmp6", "iprange", "limit",    "mark",    "multiport",  "pkttype",
        "rpfilter",  "set",       "state",    "tcp",   "udp",     "addrtype", "SYNPROXY"};
    switch (choice.Below(4)) {
      case 0: {
        std::memset(extension.data() + 2, 0, 29);
        const char* name = kNames[choice.Below(sizeof kNames / sizeof *kNames)];
        std::memcpy(extension.data() + 2, name, std::strlen(name));
        return;
      }
      case 1: extension[31] = static_cast<std::uint8_t>(choice.Below(6)); return;
      case 2: extension.resize(kExtensionBytes + (choice.OneIn(2) ? 8 * choice.Below(40) : choice.Below(300))); return;
      default: SetNumber(extension, choice, kExtensionBytes);
    }
  }

  const bool ipv6_;
  LegacyInfo info_;
  std::vector<Entry> entries_;
  std::size_t hook_ = 64;  // 64: as they are
};

// For LLVMFuzzerCustomMutator. One change in four is libFuzzer's own, of bytes.
inline std::size_t MutateLegacyTable(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed) {
  Choice choice(seed);
  if (size < 1 + sizeof(LegacyInfo) || choice.OneIn(4)) return LLVMFuzzerMutate(data, size, size_max);
  LegacyBlob blob({data, size});
  for (std::size_t i = 0; i <= choice.Below(4); ++i) blob.Change(choice);
  const LegacyBlob::Octets changed = blob.Write();
  if (changed.size() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}

}  // namespace conntally::fuzz
