#include "collectors/rules/iptables/legacy_blob.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>

#include "collectors/rules/iptables/xt_decoder.h"

namespace conntally {
namespace {

using Kind = RuleCondition::Kind;

// Offsets in struct ipt_entry and struct ip6t_entry, whose headers cannot be included together.
struct Layout {
  std::size_t address_bytes, interfaces, protocol, flags, inverted, target_offset, counters, entry_bytes;
  std::uint8_t goto_flag;
  Family family;
};
constexpr Layout kIpv4Layout = {4, 16, 80, 82, 83, 88, 96, 112, 0x02, Family::kIpv4};
constexpr Layout kIpv6Layout = {16, 64, 128, 131, 132, 140, 152, 168, 0x04, Family::kIpv6};
// IPT_INV_* and IP6T_INV_*, equal except for fragments.
constexpr std::uint8_t kNotIn = 0x01, kNotOut = 0x02, kNotTos = 0x04, kNotSource = 0x08, kNotDestination = 0x10,
                       kNotFragment = 0x20, kNotProtocol = 0x40;
constexpr std::uint8_t kFragment = 0x01;       // of IPv4's flags
constexpr std::uint8_t kTos = 0x02;            // of IPv6's
constexpr std::size_t kMatchHeaderBytes = 32;  // struct xt_entry_match, struct xt_entry_target

const Layout& LayoutOf(RuleFamily family) { return family == RuleFamily::kIp ? kIpv4Layout : kIpv6Layout; }

std::uint8_t Octet(Bytes bytes, std::size_t at) { return std::to_integer<std::uint8_t>(bytes[at]); }

// A match or a target: struct xt_entry_match.
struct Extension {
  std::string_view name;
  std::uint8_t revision = 0;
  Bytes data;
};

std::optional<Extension> ReadExtension(Bytes bytes) {
  if (bytes.size() < kMatchHeaderBytes) return std::nullopt;
  const std::size_t size = LoadHostOrder<std::uint16_t>(bytes);
  if (size < kMatchHeaderBytes || size > bytes.size()) return std::nullopt;
  const char* name = reinterpret_cast<const char*>(bytes.data()) + 2;
  return Extension{{name, strnlen(name, 29)}, Octet(bytes, 31), bytes.first(size).subspan(kMatchHeaderBytes)};
}

// One entry: header, matches, target.
struct Entry {
  std::size_t offset = 0;
  Bytes bytes;
  std::size_t target_offset = 0;
};

std::optional<Entry> ReadEntry(const Layout& layout, Bytes entries, std::size_t offset) {
  const Bytes rest = entries.subspan(offset);
  if (rest.size() < layout.entry_bytes) return std::nullopt;
  const std::size_t target = LoadHostOrder<std::uint16_t>(rest.subspan(layout.target_offset));
  const std::size_t next = LoadHostOrder<std::uint16_t>(rest.subspan(layout.target_offset + 2));
  if (target < layout.entry_bytes || next < target + kMatchHeaderBytes || next > rest.size()) return std::nullopt;
  return Entry{offset, rest.first(next), target};
}

std::optional<std::vector<Entry>> ReadEntries(const Layout& layout, Bytes entries) {
  std::vector<Entry> read;
  for (std::size_t offset = 0; offset < entries.size();) {
    const auto entry = ReadEntry(layout, entries, offset);
    if (!entry) return std::nullopt;
    offset += entry->bytes.size();
    read.push_back(*entry);
  }
  return read;
}

IpAddress AddressAt(const Layout& layout, Bytes entry, std::size_t index) {
  IpAddress address;
  address.family = layout.family;
  std::memcpy(address.bytes.data(), entry.data() + index * layout.address_bytes, layout.address_bytes);
  return address;
}

class EntryDecoder {
 public:
  EntryDecoder(const Layout& layout, const Entry& entry, Rule& rule)
      : layout_(layout), entry_(entry.bytes), rule_(rule) {
    rule.has_counter = true;
    rule.fully_understood = true;
    inverted_ = Octet(entry_, layout.inverted);
    const std::uint8_t flags = Octet(entry_, layout.flags);
    Address(Kind::kSource, 0, kNotSource);
    Address(Kind::kDestination, 1, kNotDestination);
    Interface(Kind::kInInterface, 0, kNotIn);
    Interface(Kind::kOutInterface, 1, kNotOut);
    if (const auto protocol = LoadHostOrder<std::uint16_t>(entry_.subspan(layout.protocol)); protocol != 0) {
      rule.conditions.push_back(
          {Kind::kProtocol, (inverted_ & kNotProtocol) != 0, {}, {{protocol, protocol}}, {}, {}, false});
    }
    const bool fragments = layout.family == Family::kIpv4 && (flags & kFragment) != 0;
    const bool tos = layout.family == Family::kIpv6 && (flags & kTos) != 0;
    if (fragments || tos || (inverted_ & (kNotTos | kNotFragment)) != 0)
      NotUnderstood(rule, fragments ? "fragments" : "tos");
    for (Bytes rest = entry_.first(entry.target_offset).subspan(layout.entry_bytes); !rest.empty();) {
      const auto match = ReadExtension(rest);
      if (!match) {
        NotUnderstood(rule, "a malformed match");
        break;
      }
      DecodeXtMatch(match->name, match->revision, match->data, layout.family, rule);
      rest = rest.subspan(kMatchHeaderBytes + match->data.size());
    }
  }

 private:
  void Address(Kind kind, std::size_t index, std::uint8_t negated) {
    const auto range = MaskedRange(AddressAt(layout_, entry_, index), AddressAt(layout_, entry_, index + 2));
    const IpAddress mask = AddressAt(layout_, entry_, index + 2);
    if (!range) {
      NotUnderstood(rule_, "a mask with gaps");
    } else if (Octet(Bytes(std::as_bytes(std::span(mask.bytes))), 0) != 0 || (inverted_ & negated) != 0) {
      rule_.conditions.push_back({kind, (inverted_ & negated) != 0, {*range}, {}, {}, {}, false});
    }
  }

  void Interface(Kind kind, std::size_t index, std::uint8_t negated) {
    constexpr std::size_t kNameBytes = 16;
    const Bytes name = entry_.subspan(layout_.interfaces + index * kNameBytes, kNameBytes);
    const Bytes mask = entry_.subspan(layout_.interfaces + (index + 2) * kNameBytes, kNameBytes);
    // The mask covers a name and its NUL, or only the prefix of a name that ends in "+".
    const auto covered = static_cast<std::size_t>(std::find(mask.begin(), mask.end(), std::byte{0}) - mask.begin());
    if (covered == 0) return;
    const char* text = reinterpret_cast<const char*>(name.data());
    std::string written(text, strnlen(text, covered));
    if (written.size() == covered && covered < kNameBytes) written += '*';
    rule_.conditions.push_back({kind, (inverted_ & negated) != 0, {}, {}, {std::move(written)}, {}, false});
  }

  const Layout& layout_;
  const Bytes entry_;
  Rule& rule_;
  std::uint8_t inverted_ = 0;
};

constexpr std::array<const char*, LegacyInfo::kHooks> kChainNames = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT",
                                                                     "POSTROUTING"};
constexpr std::array<const char*, LegacyInfo::kHooks> kHookNames = {"prerouting", "input", "forward", "output",
                                                                    "postrouting"};

// NF_IP_PRI_*: the priorities of the tables' hooks (net/ipv4/netfilter/iptable_*.c).
std::int32_t PriorityOf(const std::string& table, std::size_t hook) {
  constexpr std::size_t kInput = 1, kPostrouting = 4;
  if (table == "raw") return -300;
  if (table == "mangle") return -150;
  if (table == "nat") return hook == kInput || hook == kPostrouting ? 100 : -100;
  if (table == "security") return 50;
  return 0;
}

class TableDecoder {
 public:
  TableDecoder(const std::string& name, RuleFamily family, const LegacyInfo& info)
      : name_(name), family_(family), layout_(LayoutOf(family)), info_(info) {}

  std::optional<LegacyTable> Decode(Bytes bytes) {
    const auto entries = ReadEntries(layout_, bytes);
    if (!entries) return std::nullopt;
    if (!FindChains(*entries)) return std::nullopt;
    for (std::size_t i = 0; i < entries->size(); ++i)
      Add((*entries)[i], i + 1 < entries->size() ? &(*entries)[i + 1] : nullptr);
    return std::move(table_);
  }

 private:
  static std::optional<Extension> TargetOf(const Entry& entry) {
    return ReadExtension(entry.bytes.subspan(entry.target_offset));
  }

  // User-defined chains begin with an ERROR target that has their name; rules jump to the entry after it.
  bool FindChains(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
      const auto target = TargetOf(entry);
      if (!target) return false;
      if (target->name != "ERROR") continue;
      const char* text = reinterpret_cast<const char*>(target->data.data());
      chain_heads_[entry.offset] = std::string(text, strnlen(text, target->data.size()));
      chain_starts_[entry.offset + entry.bytes.size()] = chain_heads_[entry.offset];
    }
    return true;
  }

  void Begin(std::string name) {
    RuleChain& chain = table_.chains.emplace_back();
    table_.policy_offsets.emplace_back();
    chain.family = family_;
    chain.table = name_;
    chain.name = std::move(name);
  }

  void Add(const Entry& entry, const Entry* next) {
    if (const auto head = chain_heads_.find(entry.offset); head != chain_heads_.end()) {
      if (next != nullptr) Begin(head->second);  // the last entry ends the table
      return;
    }
    for (std::size_t hook = 0; hook < LegacyInfo::kHooks; ++hook) {
      const bool valid = (info_.valid_hooks >> hook & 1U) != 0;
      if (!valid || info_.hook_entry[hook] != entry.offset) continue;
      Begin(kChainNames[hook]);
      table_.chains.back().base = true;
      table_.chains.back().type = name_ == "nat" ? "nat" : name_ == "mangle" && hook == 3 ? "route" : "filter";
      table_.chains.back().hook = kHookNames[hook];
      table_.chains.back().priority = PriorityOf(name_, hook);
    }
    if (table_.chains.empty()) return;
    RuleChain& chain = table_.chains.back();
    const std::size_t counter = entry.offset + layout_.counters;
    const auto target = TargetOf(entry);
    if (!target) return;
    if (IsUnderflow(entry.offset)) {
      chain.policy = target->name.empty() && StandardVerdict(*target) == -1 ? Verdict::kDrop : Verdict::kAccept;
      chain.has_policy_counter = true;
      table_.policy_offsets.back() = counter;
      return;
    }
    // A user-defined chain ends with an implicit return.
    const bool last = next == nullptr || chain_heads_.contains(next->offset);
    if (!chain.base && last) return;
    Rule& rule = table_.rules.emplace_back();
    table_.counter_offsets.push_back(counter);
    rule.family = family_;
    rule.table = name_;
    rule.chain = chain.name;
    EntryDecoder(layout_, entry, rule);
    Target(*target, entry, rule);
  }

  bool IsUnderflow(std::size_t offset) const {
    for (std::size_t hook = 0; hook < LegacyInfo::kHooks; ++hook) {
      if ((info_.valid_hooks >> hook & 1U) != 0 && info_.underflow[hook] == offset) return true;
    }
    return false;
  }

  static std::int32_t StandardVerdict(const Extension& target) {
    return target.data.size() < 4 ? 0 : static_cast<std::int32_t>(LoadHostOrder<std::uint32_t>(target.data));
  }

  void Target(const Extension& target, const Entry& entry, Rule& rule) {
    if (!target.name.empty()) return DecodeXtTarget(target.name, target.revision, target.data, rule);
    const std::int32_t verdict = StandardVerdict(target);
    switch (verdict) {
      case -1: rule.verdict = Verdict::kDrop; return;    // -NF_DROP - 1
      case -2: rule.verdict = Verdict::kAccept; return;  // -NF_ACCEPT - 1
      case -4: rule.verdict = Verdict::kQueue; return;   // -NF_QUEUE - 1
      case -5: rule.verdict = Verdict::kReturn; return;  // XT_RETURN
      default: break;
    }
    if (verdict < 0) {
      rule.verdict = Verdict::kOther;
      return;
    }
    const auto chain = chain_starts_.find(static_cast<std::size_t>(verdict));
    if (static_cast<std::size_t>(verdict) == entry.offset + entry.bytes.size() || chain == chain_starts_.end())
      return;  // no target at all
    rule.jump_target = chain->second;
    rule.verdict = (Octet(entry.bytes, layout_.flags) & layout_.goto_flag) != 0 ? Verdict::kGoto : Verdict::kJump;
  }

  const std::string& name_;
  const RuleFamily family_;
  const Layout& layout_;
  const LegacyInfo& info_;
  std::map<std::size_t, std::string> chain_heads_;
  std::map<std::size_t, std::string> chain_starts_;
  LegacyTable table_;
};

}  // namespace

std::optional<LegacyTable> DecodeLegacyTable(const std::string& name, RuleFamily family, const LegacyInfo& info,
                                             Bytes entries) {
  return TableDecoder(name, family, info).Decode(entries);
}

std::vector<std::size_t> LegacyCounterOffsets(RuleFamily family, Bytes entries) {
  const Layout& layout = LayoutOf(family);
  std::vector<std::size_t> offsets;
  const auto read = ReadEntries(layout, entries);
  if (!read) return offsets;
  for (const Entry& entry : *read) offsets.push_back(entry.offset + layout.counters);
  return offsets;
}

Bytes LegacyEntryOf(RuleFamily family, Bytes entries, std::size_t counter_offset) {
  const Layout& layout = LayoutOf(family);
  const auto entry = ReadEntry(layout, entries, counter_offset - layout.counters);
  return entry ? entry->bytes : Bytes();
}

RuleCounter LoadLegacyCounter(Bytes entries, std::size_t offset) {
  return {LoadHostOrder<std::uint64_t>(entries.subspan(offset)),
          LoadHostOrder<std::uint64_t>(entries.subspan(offset + 8))};
}

}  // namespace conntally
