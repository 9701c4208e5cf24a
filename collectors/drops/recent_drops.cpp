#include "collectors/drops/recent_drops.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

namespace conntally {
namespace {

constexpr std::chrono::seconds kExpireEvery{1};

// The bytes of a key, one after the other.
class KeyBytes {
 public:
  template <typename Number>
  void Put(Number number) {
    static_assert(std::has_unique_object_representations_v<Number>);
    std::memcpy(bytes_.data() + used_, &number, sizeof number);
    used_ += sizeof number;
  }
  void Put(const IpAddress& address) {
    Put(address.bytes);
    Put(static_cast<std::uint8_t>(address.family));
  }
  std::span<const std::byte> all() const { return {bytes_.data(), used_}; }

 private:
  std::array<std::byte, 64> bytes_{};
  std::size_t used_ = 0;
};

}  // namespace

std::size_t RecentDrops::KeyHash::operator()(const Key& key) const {
  KeyBytes bytes;
  bytes.Put(key.ends.source);
  bytes.Put(key.ends.destination.value_or(IpAddress()));
  bytes.Put(key.ends.destination_port);
  bytes.Put(key.protocol);
  bytes.Put(key.icmp_type.value_or(0));
  bytes.Put(key.hooks.bits());
  bytes.Put(static_cast<std::uint8_t>(key.via));
  bytes.Put(key.interface);
  bytes.Put(key.rule);
  return hash(bytes.all());
}

RecentDrops::Key RecentDrops::KeyOf(const DropKey& key, DropVia via, RuleName rule) {
  return {key.ends(), key.protocol, key.icmp_type, key.hooks, via, key.interface(), rule};
}

RecentDrop RecentDrops::Told(const Key& key, const Row& row) {
  return {key.ends, key.protocol, key.icmp_type, key.hooks,      key.interface, {},
          {},       key.via,      row.packets,   row.span.first, row.span.last};
}

RecentDrop RecentDrops::Described(const DropKey& key, DropVia via, std::uint64_t packets, Span span) {
  return Told(KeyOf(key, via, 0), {packets, span});
}

void RecentDrops::Add(const DropKey& key, DropVia via, RuleName rule, std::uint64_t packets, Span span) {
  AddRow(KeyOf(key, via, rule), {packets, span});
  if (rows_.size() >= 2 * kRowsMax) MakeRoom();
}

void RecentDrops::AddRow(const Key& key, const Row& row) {
  const auto [known, added] = rows_.try_emplace(key, row);
  if (added) return;
  Row& before = known->second;
  before.packets += row.packets;
  before.span.first = std::min(before.span.first, row.span.first);
  before.span.last = std::max(before.span.last, row.span.last);
}

void RecentDrops::EndRound(Time now) {
  if (now >= next_expiry_) {
    next_expiry_ = now + kExpireEvery;
    std::erase_if(rows_, [&](const auto& entry) { return now - entry.second.span.last > kFor; });
  }
  if (rows_.size() > kRowsMax) MakeRoom();
}

void RecentDrops::MakeRoom() {
  struct Ranked {
    std::tuple<bool, std::uint64_t, Time> rank;
    Rows::const_iterator row;
  };
  std::vector<Ranked> ranked;
  ranked.reserve(rows_.size());
  for (auto row = rows_.cbegin(); row != rows_.cend(); ++row) {
    const bool regular = !regulars_.empty() && regulars_.contains(row->first.ends.source);
    ranked.push_back({{regular, row->second.packets, row->second.span.last}, row});
  }
  const auto kept = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(kRowsMax, ranked.size()));
  std::nth_element(ranked.begin(), kept, ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.rank > b.rank; });
  for (auto light = kept; light != ranked.end(); ++light) {
    turned_away_ += light->row->second.packets;
    rows_.erase(light->row);
  }
}

void RecentDrops::Mark(RuleNames::Names& in_use) const {
  for (const auto& [key, row] : rows_) in_use[key.rule] = true;
}

void RecentDrops::Forget(const RuleNames::Names& names) {
  std::vector<std::pair<Key, Row>> unnamed;
  for (auto row = rows_.begin(); row != rows_.end();) {
    if (!names[row->first.rule]) {
      ++row;
      continue;
    }
    unnamed.emplace_back(row->first, row->second);
    unnamed.back().first.rule = 0;
    row = rows_.erase(row);
  }
  for (const auto& [key, row] : unnamed) AddRow(key, row);
}

}  // namespace conntally
