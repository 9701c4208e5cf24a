#include "collectors/drops/drop_tally.h"

#include <algorithm>

namespace conntally {
DropTally::DropTally(const Options& options, KeyedHash hash)
    : options_(options),
      hash_(hash),
      table_(options.tracked_max, hash),
      logged_(0, LikenessHash{hash}),
      recent_(hash) {}

std::size_t DropTally::LikenessHash::operator()(const Likeness& likeness) const {
  std::array<std::uint8_t, 36> bytes{};
  std::copy(likeness.source.bytes.begin(), likeness.source.bytes.end(), bytes.begin());
  if (likeness.destination)
    std::copy(likeness.destination->bytes.begin(), likeness.destination->bytes.end(), bytes.begin() + 16);
  bytes[32] = static_cast<std::uint8_t>(likeness.source.family);
  bytes[33] = likeness.protocol;
  bytes[34] = static_cast<std::uint8_t>(likeness.destination_port >> 8);
  bytes[35] = static_cast<std::uint8_t>(likeness.destination_port);
  return hash(std::as_bytes(std::span(bytes)));
}

void DropTally::set_ebpf_counts(bool counts) {
  const std::lock_guard lock(mutex_);
  ebpf_counts_ = counts;
}

void DropTally::set_groups(std::shared_ptr<const NetworkGroups> groups) {
  const std::lock_guard lock(mutex_);
  groups_ = std::move(groups);
}

RuleName DropTally::Intern(const std::string& rule) {
  if (names_.full() && !names_.Knows(rule)) MakeRoomForNames();
  return names_.Of(rule);
}

void DropTally::MakeRoomForNames() {
  RuleNames::Names in_use = names_.Unmarked();
  table_.ForEachPayload([&](const Breakdown& breakdown) { breakdown.shares.Mark(in_use); });
  for (const auto& [likeness, alike] : logged_) {
    for (const Logged& logged : alike) in_use[logged.rule] = true;
  }
  recent_.Mark(in_use);
  const RuleNames::Names forgotten = names_.MakeRoom(in_use);
  table_.ForEachPayload(
      [&](Breakdown& breakdown) { figures_.rules_turned_away += breakdown.shares.Forget(forgotten); });
  for (auto& [likeness, alike] : logged_) {
    for (Logged& logged : alike) {
      if (forgotten[logged.rule]) logged.rule = 0;
    }
  }
  recent_.Forget(forgotten);
}

void DropTally::AddCounted(const CountedDrop& drop) {
  const std::lock_guard lock(mutex_);
  arrived_.push_back(drop);
}

void DropTally::AddLogged(const LoggedPacket& packet) {
  const std::lock_guard lock(mutex_);
  Remember(packet);
}

void DropTally::Remember(const LoggedPacket& packet) {
  const RuleName rule = Intern(packet.prefix);
  if (logged_waiting_ >= kLoggedMax) {
    ++figures_.logged_turned_away;
    if (!ebpf_counts_) Count(packet.key, {last_, last_}, packet.via, rule, 1, last_);
    return;
  }
  std::vector<Logged>& alike = logged_[LikenessOf(packet.key)];
  const auto same = std::find_if(alike.begin(), alike.end(), [&](const Logged& logged) {
    return logged.round == round_ && logged.via == packet.via && logged.rule == rule &&
           logged.hooks == packet.key.hooks;
  });
  if (same != alike.end()) {
    ++same->packets;
    ++same->unpaired;
    return;
  }
  alike.push_back({packet.key.hooks, packet.via, rule, 1, 1, round_, packet.key.interface(), packet.key.icmp_type});
  ++logged_waiting_;
}

void DropTally::EndRound(Time now) {
  const std::lock_guard lock(mutex_);
  last_ = now;
  try {
    for (const CountedDrop& drop : waiting_) SettleCounted(drop, now);
    waiting_.clear();
    std::swap(waiting_, arrived_);
    SettleLogged(now, 2);
  } catch (...) {  // out of memory: better not counted than counted twice
    waiting_.clear();
    logged_.clear();
    logged_waiting_ = 0;
    throw;
  }
  SettleSets(now, kSetWait);
  SettleUnattributed(now, attributes_ ? kAttributionWait : std::chrono::seconds(0));
  recent_.EndRound(now);
  ++round_;
}

void DropTally::set_attributes(bool attributes) {
  const std::lock_guard lock(mutex_);
  attributes_ = attributes;
}

void DropTally::Attribute(const RuleOf& rule_of, Time now) {
  const std::lock_guard lock(mutex_);
  std::vector<AllUnattributed::const_iterator> most;
  for (const AllUnattributed* all : {&unattributed_, &unattributed_sources_}) {
    for (auto waiting = all->cbegin(); waiting != all->cend(); ++waiting) most.push_back(waiting);
  }
  std::stable_sort(most.begin(), most.end(),
                   [](const auto& a, const auto& b) { return a->second.packets > b->second.packets; });
  for (const auto& waiting : most) {
    const auto& [key, unattributed] = *waiting;
    const auto rule = rule_of(key, unattributed.packets);
    if (!rule) continue;
    DropKey named = key;
    named.hooks = rule->hook.value_or(key.hooks);
    CountUnattributed(named, unattributed, Intern(rule->text), now);
    (key.destination ? unattributed_ : unattributed_sources_).erase(waiting);
  }
  recent_.EndRound(now);
}

void DropTally::CountUnattributed(const DropKey& key, const Unattributed& waiting, RuleName rule, Time now) {
  CountSource(key, waiting.span.last, DropVia::kEbpf, rule, waiting.packets, now);
  if (key.destination) recent_.Add(key, DropVia::kEbpf, rule, waiting.packets, waiting.span);
}

void DropTally::SettleUnattributed(Time now, std::chrono::steady_clock::duration age) {
  for (AllUnattributed* all : {&unattributed_, &unattributed_sources_}) {
    std::erase_if(*all, [&](const auto& waiting) {
      if (now - waiting.second.span.first < age) return false;
      CountUnattributed(waiting.first, waiting.second, 0, now);
      return true;
    });
  }
}

void DropTally::Settle(Time now) {
  set_attributes(false);
  EndRound(now);
  EndRound(now);
  EndRound(now);
  const std::lock_guard lock(mutex_);
  SettleSets(now, std::chrono::seconds(0));
}

void DropTally::AddSetCounted(std::vector<SetCountedDrop> drops, Time now) {
  const std::lock_guard lock(mutex_);
  if (ebpf_counts_) return;
  sets_count_ = true;
  set_batches_.push_back({std::move(drops), ++batches_, now});
}

void DropTally::SettleSets(Time now, std::chrono::steady_clock::duration age) {
  while (!set_batches_.empty() && now - set_batches_.front().arrived >= age) {
    const SetBatch batch = std::move(set_batches_.front());
    set_batches_.erase(set_batches_.begin());
    const bool whole = told_forgotten_ == 0 || told_forgotten_ + 2 < batch.number;
    for (SetCountedDrop drop : batch.drops) {
      TakeOffLogged(drop);
      if (!whole) figures_.set_turned_away += drop.packets;
      if (whole && drop.packets != 0)
        Count({.source = drop.source}, {now, now}, DropVia::kSet, Intern(drop.rule), drop.packets, now);
    }
    ForgetTold(batch.number);
  }
}

// Drops reports that do not concern this batch or later ones.
void DropTally::ForgetTold(std::uint64_t batch) {
  for (auto of_source = told_by_logs_.begin(); of_source != told_by_logs_.end();) {
    std::vector<ToldByLogs>& list = of_source->second;
    told_waiting_ -=
        std::erase_if(list, [&](const ToldByLogs& told) { return told.packets == 0 || told.batches + 2 <= batch; });
    of_source = list.empty() ? told_by_logs_.erase(of_source) : std::next(of_source);
  }
}

void DropTally::RememberTold(const IpAddress& source, std::uint64_t packets) {
  if (!sets_count_) return;
  if (told_waiting_ >= kLoggedMax) {
    told_forgotten_ = batches_ + 1;
    return;
  }
  std::vector<ToldByLogs>& told = told_by_logs_[options_.grouping.GroupOf(source)];
  if (told.empty() || told.back().batches != batches_) {
    told.push_back({batches_, 0});
    ++told_waiting_;
  }
  told.back().packets += packets;
}

void DropTally::TakeOffLogged(SetCountedDrop& drop) {
  const auto of_source = told_by_logs_.find(options_.grouping.GroupOf(drop.source));
  if (of_source == told_by_logs_.end()) return;
  for (ToldByLogs& told : of_source->second) {
    const std::uint64_t both = std::min(drop.packets, told.packets);
    drop.packets -= both;
    told.packets -= both;
  }
}

// A counted packet takes the name of a matching logged one; NFLOG comes before LOG.
void DropTally::SettleCounted(const CountedDrop& drop, Time now) {
  const RecentDrops::Span seen{now, now};
  std::uint64_t unnamed = drop.packets;
  const auto found = logged_.empty() ? logged_.end() : logged_.find(LikenessOf(drop.key));
  if (found != logged_.end()) {
    for (const DropVia via : {DropVia::kNflog, DropVia::kLog}) {
      for (Logged& logged : found->second) {
        if (logged.via != via || !logged.hooks.Meets(drop.key.hooks)) continue;
        const std::uint64_t named = std::min(unnamed, logged.packets);
        logged.packets -= named;
        unnamed -= named;
        if (named != 0) Count(drop.key, seen, via, logged.rule, named, now);
      }
    }
  }
  if (unnamed == 0) return;
  if (!attributes_) return Count(drop.key, seen, DropVia::kEbpf, 0, unnamed, now);
  // A source that sends to ever new ports and addresses has many keys: without these, its rule is still found if it
  // does not depend on them.
  DropKey key = drop.key;
  const bool whole = key.destination && (unattributed_.size() < kUnattributedMax || unattributed_.contains(key));
  if (!whole) {
    recent_.Add(key, DropVia::kEbpf, 0, unnamed, seen);
    key.destination.reset();
    if (key.original) key.original->destination.reset();
  }
  AllUnattributed& all = whole ? unattributed_ : unattributed_sources_;
  if (!whole && all.size() >= kUnattributedSourcesMax && !all.contains(key)) {
    figures_.rules_turned_away += unnamed;
    return CountSource(key, now, DropVia::kEbpf, 0, unnamed, now);
  }
  Unattributed& waiting = all.try_emplace(key, Unattributed{0, seen}).first->second;
  waiting.packets += unnamed;
  waiting.span.last = now;
}

// Ends the wait of logged packets that are `rounds` old. While eBPF counts, they are dropped, since they have named
// what they could. Otherwise they are counted.
void DropTally::SettleLogged(Time now, std::uint64_t rounds) {
  for (auto alike = logged_.begin(); alike != logged_.end();) {
    DropKey key{.source = alike->first.source,
                .protocol = alike->first.protocol,
                .destination_port = alike->first.destination_port,
                .destination = alike->first.destination};
    std::vector<Logged>& list = alike->second;
    if (!ebpf_counts_) {
      for (Logged& by_log : list) {
        if (by_log.via != DropVia::kLog || by_log.round + rounds > round_) continue;
        // Packets that NFLOG reported too count as NFLOG's.
        for (Logged& by_nflog : list) {
          if (by_nflog.via != DropVia::kNflog || !by_nflog.hooks.Meets(by_log.hooks)) continue;
          const std::uint64_t both = std::min(by_log.packets, by_nflog.unpaired);
          by_log.packets -= both;
          by_nflog.unpaired -= both;
        }
      }
    }
    std::erase_if(list, [&](const Logged& logged) {
      if (logged.round + rounds > round_) return false;
      if (!ebpf_counts_ && logged.packets != 0) {
        key.hooks = logged.hooks;
        key.in_interface = logged.interface;
        key.icmp_type = logged.icmp_type;
        Count(key, {now, now}, logged.via, logged.rule, logged.packets, now);
      }
      --logged_waiting_;
      return true;
    });
    alike = list.empty() ? logged_.erase(alike) : std::next(alike);
  }
}

}  // namespace conntally
