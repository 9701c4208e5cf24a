#include "collectors/rules/nft/nft_changes.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>

#include "collectors/netlink/messages.h"
#include "collectors/rules/nft/nft_texts.h"

namespace conntally {
namespace {

constexpr std::size_t kTransactionKept = 4096;  // up to this size the memory is kept

// The counts since a rule began, never below zero.
RuleCounter Since(const RuleCounter& now, const RuleCounter& begun) {
  return {now.packets - std::min(now.packets, begun.packets), now.bytes - std::min(now.bytes, begun.bytes)};
}

}  // namespace

void NftChanges::Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation) {
  if (ruleset != before_) {
    tables_.clear();
    known_.clear();
    known_.reserve(ruleset->rules.size());
    for (std::size_t i = 0; i < ruleset->rules.size(); ++i) {
      const Rule& rule = ruleset->rules[i];
      if (rule.has_counter) known_[{TableOf(rule.family, rule.table), rule.handle}] = {i, false};
    }
    before_ = std::move(ruleset);
  }
  base_ = generation_ = generation;
  lost_ = false;
  finals_.clear();
  begun_.clear();
  passed_.clear();
  sets_.clear();
  changed_sets_.clear();
  contents_.clear();
  set_bytes_ = 0;
}

void NftChanges::Note(Bytes message, std::optional<std::uint32_t> until) {
  MessageHeader header;
  if (before_ == nullptr || !ReadMessageHeader(message, header)) return;
  switch (header.type) {
    case NftMessage(NFT_MSG_NEWRULE): return NoteMade(message);
    case NftMessage(NFT_MSG_DELRULE): return NoteDeleted(message);
    case NftMessage(NFT_MSG_NEWSET): return NoteSet(message);
    case NftMessage(NFT_MSG_NEWSETELEM):
    case NftMessage(NFT_MSG_DELSETELEM): return NoteElements(message);
    case NftMessage(NFT_MSG_DELSET):
      if (const auto set = DecodeNftDeletedSet(message)) {
        const SetPlace place(set->family, set->table, set->name);
        Forget(place);
        NoteChanged(place);
      }
      return;
    case NftMessage(NFT_MSG_NEWGEN): break;
    default: return;
  }
  const auto generation = DecodeNftGeneration(message);
  if (!generation) return;
  // Modulo 2^32. Late: the dump already included it.
  const bool late = static_cast<std::int32_t>(*generation - base_) <= 0;
  const bool early =
      until && static_cast<std::int32_t>(*generation - *until) > 0;  // the previous transaction's end was lost
  if (early) NoteLoss();
  if (!late && !early) {
    for (const Change& change : transaction_) Apply(change);
  }
  if (!late) generation_ = *generation;
  transaction_.clear();
  if (transaction_.capacity() > kTransactionKept) transaction_.shrink_to_fit();
}

void NftChanges::NoteLoss() {
  lost_ = true;
  begun_.clear();
}

void NftChanges::NoteMade(Bytes message) {
  const auto rule = DecodeNftRule(message);
  if (!rule) return;
  const auto counter = CountOf(*rule).counter;
  if (!counter || *counter == RuleCounter{}) return;
  Stage({Change::Kind::kMade, {TableOf(rule->family, rule->table), rule->handle}, *counter});
}

void NftChanges::NoteDeleted(Bytes message) {
  const auto rule = DecodeNftDeletedRule(message);
  if (!rule) return;
  const auto counter = CountOf(*rule).counter;
  if (!counter) return;
  Change change{Change::Kind::kDeleted, {TableOf(rule->family, rule->table), rule->handle}, *counter};
  const auto known = known_.find(change.place);
  if (known == known_.end() || known->second.deleted) {
    if (*counter == RuleCounter{}) return;  // it counted nothing
    change.family = rule->family;
    change.chain = rule->chain;
    change.text_key = KeyOf(*rule);
  }
  Stage(std::move(change));
}

void NftChanges::Stage(Change change) {
  if (transaction_.size() < kTransactionMax) return transaction_.push_back(std::move(change));
  ++turned_away_;
  NoteLoss();
}

void NftChanges::Apply(const Change& change) {
  if (change.kind == Change::Kind::kMade) {
    if (!lost_) begun_[change.place] = change.counter;
    return;
  }
  const auto known = known_.find(change.place);
  if (known == known_.end() || known->second.deleted) return Pass(change);
  known->second.deleted = true;
  if (finals_.empty()) finals_.resize(before_->rules.size());
  finals_[known->second.index] = change.counter;
}

void NftChanges::Pass(const Change& change) {
  RuleCounter begun;
  if (const auto found = begun_.find(change.place); found != begun_.end()) {
    begun = found->second;
    begun_.erase(found);
  }
  RuleCounter counted = Since(change.counter, begun);
  // Packets during the commit are few compared with later ones; a restored value is not.
  if (begun.packets <= counted.packets / 8) counted = change.counter;
  if (change.text_key.empty() || counted == RuleCounter{}) return;
  if (passed_.size() >= kPassedMax && !passed_.contains(change.text_key)) {
    ++turned_away_;
    return;
  }
  RuleChanges::Passed& passed = passed_[change.text_key];
  passed.family = change.family;
  passed.table = tables_[change.place.table].second;
  passed.chain = change.chain;
  passed.counted.packets += counted.packets;
  passed.counted.bytes += counted.bytes;
}

std::uint32_t NftChanges::TableOf(RuleFamily family, std::string_view name) {
  const auto is_it = [&](const auto& table) { return table.first == family && table.second == name; };
  if (last_table_ < tables_.size() && is_it(tables_[last_table_])) return last_table_;
  const auto found = std::find_if(tables_.begin(), tables_.end(), is_it);
  last_table_ = static_cast<std::uint32_t>(found - tables_.begin());
  if (found == tables_.end()) tables_.emplace_back(family, name);
  return last_table_;
}

void NftChanges::NoteSet(Bytes message) {
  const auto set = DecodeNftSet(message);
  if (!set) return;
  const SetPlace place(set->family, set->table, set->name);
  if ((set->flags & NFT_SET_ANONYMOUS) == 0) return NoteChanged(place);
  Forget(place);
  sets_[place].intervals = (set->flags & NFT_SET_INTERVAL) != 0;
}

void NftChanges::NoteElements(Bytes message) {
  const auto set = DecodeNftElementsSet(message);
  if (!set) return;
  const SetPlace place(set->family, set->table, set->name);
  const auto followed = sets_.find(place);
  if (followed == sets_.end()) return NoteChanged(place);
  if (set_bytes_ + message.size() > kSetBytesMax) {
    ++turned_away_;
    return Forget(place);  // a rule that uses it will be unknown
  }
  set_bytes_ += message.size();
  followed->second.messages.emplace_back(message.begin(), message.end());
}

void NftChanges::NoteChanged(const SetPlace& place) {
  if (changed_sets_.size() < kChangedSetsMax) changed_sets_.insert(place);
}

bool NftChanges::StandsAsRead(const SetPlace& place) const {
  return listens() && !lost_ && changed_sets_.size() < kChangedSetsMax && !changed_sets_.contains(place);
}

void NftChanges::Forget(const SetPlace& place) {
  const auto followed = sets_.find(place);
  if (followed == sets_.end()) return;
  for (const auto& elements : followed->second.messages) set_bytes_ -= elements.size();
  sets_.erase(followed);
  contents_.erase(place);
}

std::string NftChanges::KeyOf(const NftRule& rule) {
  for (auto& [place, followed] : sets_) {
    if (followed.decoded) continue;
    followed.decoded = true;
    std::vector<NftElement> elements;
    for (const auto& message : followed.messages) {
      if (const auto decoded = DecodeNftElements(message))
        elements.insert(elements.end(), decoded->begin(), decoded->end());
    }
    NftSetContent& content = contents_[place];
    content.anonymous = true;
    content.elements = RangesOf(elements, followed.intervals);
  }
  return TextKey(rule, contents_);
}

RuleChanges NftChanges::Take(const Ruleset& now, const std::unordered_map<std::string, std::string>& texts) {
  RuleChanges changes;
  if (before_ == nullptr) return changes;
  changes.before = before_;
  for (auto& [key, passed] : passed_) {
    const auto text = texts.find(key);
    if (text == texts.end()) continue;  // no reading has seen it: it has no series
    passed.text = text->second;
    changes.passed.push_back(std::move(passed));
  }
  if (!lost_) {
    changes.begun.resize(now.rules.size());
    for (std::size_t i = 0; i < now.rules.size(); ++i) {
      const Place place{TableOf(now.rules[i].family, now.rules[i].table), now.rules[i].handle};
      const auto known = known_.find(place);
      if (known != known_.end() && !known->second.deleted) continue;
      const auto begun = begun_.find(place);
      changes.begun[i] = begun != begun_.end() ? begun->second : RuleCounter{};
    }
  }
  for (auto& [place, known] : known_) known.deleted = false;
  changes.finals = std::move(finals_);
  finals_.clear();
  return changes;
}

}  // namespace conntally
