// NftReader's reading of sets: elements needed to decode rules, once per generation; elements of address sets, when
// they change and are due.
#include <linux/netfilter/nf_tables.h>

#include <algorithm>

#include "collectors/netlink/query.h"
#include "collectors/rules/element_pace.h"
#include "collectors/rules/nft/nft_reader.h"
#include "collectors/rules/nft/nft_texts.h"

namespace conntally {
namespace {

using Wants = NetlinkRequest::Wants;

}  // namespace

Status NftReader::ReadSets() {
  std::vector<SetToRead> anonymous;
  auto sets = std::make_shared<std::vector<AddressSet>>();
  auto done = Query(*socket_, {NftMessage(NFT_MSG_GETSET), Wants::kDump}, [&](Bytes message) {
    const auto set = DecodeNftSet(message);
    if (!set) return;
    SetToRead read{set->family, std::string(set->table), std::string(set->name), (set->flags & NFT_SET_INTERVAL) != 0};
    NftSetContent& content = contents_[{read.family, read.table, read.name}];
    content.anonymous = (set->flags & NFT_SET_ANONYMOUS) != 0;
    const bool values = (set->flags & (NFT_SET_MAP | NFT_SET_OBJECT)) == NFT_SET_MAP && !set->verdicts;
    content.maps = set->verdicts || values;
    content.key_bytes = set->key_bytes;
    const bool dynamic = (set->flags & NFT_SET_EVAL) != 0, expires = (set->flags & NFT_SET_TIMEOUT) != 0;
    content.elements_change = dynamic || expires;
    if (content.anonymous || set->verdicts) return anonymous.push_back(std::move(read));
    if (values) anonymous.push_back(read);
    const bool ipv4 = set->key_type == kNftTypeIpv4 && set->key_bytes == 4;
    if (!ipv4 && !(set->key_type == kNftTypeIpv6 && set->key_bytes == 16)) {
      content.elements_stand = !content.elements_change && (set->flags & (NFT_SET_MAP | NFT_SET_OBJECT)) == 0;
      if (content.elements_stand) anonymous.push_back(std::move(read));
      return;
    }
    sets->push_back({false,
                     read.family,
                     read.table,
                     read.name,
                     ipv4 ? Family::kIpv4 : Family::kIpv6,
                     dynamic,
                     true,
                     expires,
                     false,
                     {}});
    read.index = sets->size() - 1;
    building_.named.push_back(std::move(read));
  });
  for (const SetToRead& set : anonymous) {
    if (!done) return done;
    auto elements = DumpElements(set.family, set.table, set.name, set.intervals, nullptr);
    if (!elements) return elements.error();
    NftSetContent& content = contents_[{set.family, set.table, set.name}];
    content.elements = std::move(*elements);
    // A named set's elements are copied into each rule that uses it.
    content.complete = elements_read_ < kElementsMax && !catch_all_ &&
                       (content.anonymous || content.elements.size() <= kNamedElementsMax);
  }
  for (SetToRead& set : building_.named) {
    AddressSet& named = (*sets)[set.index];
    set.changes = named.dynamic || named.expires;
    TakeOver(set, named);
  }
  building_.sets = std::move(sets);
  return done;
}

// Elements read in the previous generation stay valid, unless the set changed. Until a changed set is read again, its
// elements are incomplete and uncertain.
void NftReader::TakeOver(SetToRead& set, AddressSet& named) {
  named.complete = false;
  set.pending = true;
  if (!sets_known_) return;
  const auto before = std::find_if(sets_known_->begin(), sets_known_->end(), [&](const AddressSet& known) {
    return known.family == named.family && known.table == named.table && known.name == named.name &&
           known.address_family == named.address_family;
  });
  if (before == sets_known_->end()) return;
  const NftSetContents::key_type place(set.family, set.table, set.name);
  set.pending = pending_.contains(place) || !watch_.changes().StandsAsRead(place);
  set.counts = counted_.contains(place);
  named.elements = before->elements;
  named.complete = before->complete && !set.pending;
}

// As far as their time has come: those that nobody has read yet, or since they were changed, and those that packets or
// time change.
Status NftReader::RefreshSets() {
  Known& known = *known_;
  const auto wanted = [&](const SetToRead& set) {
    return elements_.read && (set.pending || set.changes || (elements_.with_counters && set.counts));
  };
  Status done = Ok();
  if (std::any_of(known.named.begin(), known.named.end(), wanted)) {
    const auto began = ElementPace::ThreadCpu();
    auto sets = std::make_shared<std::vector<AddressSet>>(*known.sets);
    elements_read_ = 0;
    for (const SetToRead& set : known.named) elements_read_ += wanted(set) ? 0 : (*sets)[set.index].elements.size();
    for (SetToRead& set : known.named) {
      if (!wanted(set)) continue;
      if (done) done = ReadElements(set, *sets);
      if (!done) break;
      const std::vector<SetElement>& elements = (*sets)[set.index].elements;
      set.counts = std::any_of(elements.begin(), elements.end(), [](const auto& e) { return e.counter.has_value(); });
      set.pending = false;
    }
    elements_cpu_ += ElementPace::ThreadCpu() - began;
    if (done) known.sets = std::move(sets);
  }
  sets_known_ = known.sets;
  pending_.clear();
  counted_.clear();
  for (const SetToRead& set : known.named) {
    if (set.pending) pending_.emplace(set.family, set.table, set.name);
    if (set.counts) counted_.emplace(set.family, set.table, set.name);
  }
  return done;
}

// Rules may also fill sets that are not declared dynamic: these change too.
bool NftReader::FollowUpdates(const Ruleset& ruleset) {
  bool decoded_wrongly = false;
  std::shared_ptr<std::vector<AddressSet>> sets;
  for (const Rule& rule : ruleset.rules) {
    for (const SetUpdate& update : rule.set_updates) {
      const auto content = contents_.find({rule.family, rule.table, update.set});
      if (content == contents_.end() || content->second.elements_change) continue;
      content->second.elements_change = true;
      decoded_wrongly = decoded_wrongly || content->second.elements_stand || content->second.maps;
      content->second.elements_stand = false;
      const auto set = std::find_if(building_.named.begin(), building_.named.end(), [&](const SetToRead& named) {
        return named.family == rule.family && named.table == rule.table && named.name == update.set;
      });
      if (set == building_.named.end()) continue;
      if (!sets) sets = std::make_shared<std::vector<AddressSet>>(*building_.sets);
      (*sets)[set->index].dynamic = true;
      set->changes = true;
    }
  }
  if (sets) building_.sets = std::move(sets);
  return decoded_wrongly;
}

Status NftReader::ReadElements(const SetToRead& set, std::vector<AddressSet>& sets) {
  AddressSet& named = sets[set.index];
  named.elements.clear();
  named.complete = true;
  const auto read = DumpElements(set.family, set.table, set.name, set.intervals, &named);
  if (!read) return read.error();
  return Ok();
}

Status NftReader::QueryUntilStopped(const NetlinkRequest& request, const std::function<void(Bytes)>& visit) {
  if (const auto sent = SendRequest(*socket_, request); !sent) return sent;
  ReplyBuffer buffer;
  while (!elements_.stop.stop_requested()) {
    const auto progress = ReceiveReplies(*socket_, buffer, visit);
    if (!progress) return progress.error();
    if (*progress == ReplyProgress::kDone) return Ok();
  }
  return Error{"given up, since conntally ends", ECANCELED};
}

// With `named`, its elements go there, with their counters; else they are returned.
Result<std::vector<NftSetContent::Element>> NftReader::DumpElements(RuleFamily family, const std::string& table,
                                                                    const std::string& name, bool intervals,
                                                                    AddressSet* named) {
  NetlinkRequest request(NftMessage(NFT_MSG_GETSETELEM), Wants::kDump, NfprotoOf(family));
  request.PutText(NFTA_SET_ELEM_LIST_TABLE, table).PutText(NFTA_SET_ELEM_LIST_SET, name);
  // An interval may span two messages, so all messages are kept until the end.
  std::vector<std::vector<std::byte>> messages;
  bool cut = false;
  const auto asked = QueryUntilStopped(request, [&](Bytes message) {
    // An element takes more than 24 bytes, a message 32 KiB.
    cut = cut || elements_read_ + messages.size() * 64 >= kElementsMax;
    if (!cut) messages.emplace_back(message.begin(), message.end());
  });
  if (!asked && asked.error().code == ENOENT) return Error{"a set went away while it was read", EINTR};
  if (!asked) return asked.error();
  std::vector<NftElement> elements;
  for (const auto& message : messages) {
    const auto decoded = DecodeNftElements(message);
    if (!decoded) {
      cut = true;
      continue;
    }
    elements.insert(elements.end(), decoded->begin(), decoded->end());
  }
  elements_read_ += elements.size();
  // `*` means all keys without an element, which no range can express.
  catch_all_ = std::any_of(elements.begin(), elements.end(),
                           [](const NftElement& element) { return (element.flags & NFT_SET_ELEM_CATCHALL) != 0; });
  if (named == nullptr) return RangesOf(elements, intervals);
  named->complete = !cut && !catch_all_;
  named->elements = AddressesOf(elements, intervals, named->address_family);
  return std::vector<NftSetContent::Element>();
}

}  // namespace conntally
