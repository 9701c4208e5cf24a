#include "collectors/rules/nft/nft_reader.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "collectors/netlink/query.h"
#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/rules/nft/nft_texts.h"
#include "collectors/rules/ruleset_finish.h"

namespace conntally {
namespace {

using Wants = NetlinkRequest::Wants;

std::string ObjectKey(RuleFamily family, std::string_view table, std::string_view name) {
  std::string key;
  for (const std::string_view part : {std::string_view(NameOf(family)), table, name}) key.append(part).push_back('\0');
  return key;
}

const char* HookName(RuleFamily family, std::uint32_t hook) {
  if (family == RuleFamily::kNetdev) return hook == NF_NETDEV_INGRESS ? "ingress" : "egress";
  if (family == RuleFamily::kArp) return hook == 0 ? "input" : "output";
  switch (hook) {
    case NF_INET_PRE_ROUTING: return "prerouting";
    case NF_INET_LOCAL_IN: return "input";
    case NF_INET_FORWARD: return "forward";
    case NF_INET_LOCAL_OUT: return "output";
    case NF_INET_POST_ROUTING: return "postrouting";
    case NF_INET_INGRESS: return "ingress";
    default: return "";
  }
}

std::string Owned(std::string_view text) { return std::string(text); }

}  // namespace

BackendReading NftReader::Read() {
  const auto began = std::chrono::steady_clock::now();
  constexpr int kAttemptsMax = 8;
  Result<BackendReading> result = Error{};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    result = TryRead();
    if (result) break;
    socket_.reset();  // replies to an abandoned question may still come
    if (result.error().code != EINTR) break;
  }
  if (!result) {
    BackendReading failed;
    const int code = result.error().code;
    const bool absent = code == EPROTONOSUPPORT || code == EOPNOTSUPP;
    failed.lacks_capability = code == EPERM;
    failed.present = !absent && !failed.lacks_capability;
    failed.failure = failed.lacks_capability ? result.error().message + ": reading nftables needs CAP_NET_ADMIN"
                                             : result.error().message;
    if (absent) failed.failure = "this kernel has no nftables";
    failed.ruleset = std::make_shared<Ruleset>();
    failed.sets = std::make_shared<std::vector<AddressSet>>();
    result = std::move(failed);
  }
  result->duration_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return std::move(*result);
}

Result<BackendReading> NftReader::TryRead() {
  if (!socket_) {
    auto opened = NetlinkSocket::Open();
    if (!opened) return opened.error();
    socket_ = std::move(*opened);
  }
  watch_.Open();  // before the first dump
  watch_.Follow();
  const auto before = Generation();
  if (!before) return before.error();
  if (!known_ || known_->generation != *before) {
    if (const auto built = Rebuild(*before); !built) return built.error();
  }
  auto snapshot = Refresh();
  if (!snapshot) return snapshot.error();
  const auto after = Generation();
  if (!after) return after.error();
  if (!*snapshot || *after != *before) {
    known_.reset();
    return Error{"the ruleset changed again and again while it was read", EINTR};
  }
  AddChanges(**snapshot);
  return std::move(**snapshot);
}

Result<std::uint32_t> NftReader::Generation() {
  std::optional<std::uint32_t> generation;
  const auto asked = Query(*socket_, {NftMessage(NFT_MSG_GETGEN), Wants::kOne}, [&](Bytes message) {
    if (const auto decoded = DecodeNftGeneration(message)) generation = decoded;
  });
  // So nfnetlink_rcv_msg answers for a subsystem that it does not have; nf_tables itself finds nothing wrong with this
  // question.
  if (!asked && asked.error().code == EINVAL) return Error{"the kernel has no nf_tables", EOPNOTSUPP};
  if (!asked) return asked.error();
  if (!generation) return Error{"the kernel does not tell nftables' generation", EOPNOTSUPP};
  return *generation;
}

Result<std::optional<BackendReading>> NftReader::Refresh() {
  const Known& known = *known_;
  BackendReading snapshot;
  snapshot.present = snapshot.success = true;
  snapshot.ruleset = known.ruleset;
  snapshot.sets = known.sets;
  snapshot.counters.resize(known.ruleset->rules.size());
  snapshot.policies.resize(known.ruleset->chains.size());
  Objects objects;
  if (known.has_objects) {
    auto read = ReadObjects();
    if (!read) return read.error();
    objects = std::move(*read);
  }
  std::size_t index = 0;
  bool same = true;
  const std::vector<Rule>& rules = known.ruleset->rules;
  auto asked = Query(*socket_, {NftMessage(NFT_MSG_GETRULE), Wants::kDump}, [&](Bytes message) {
    const auto rule = DecodeNftRule(message);
    if (!rule || index >= rules.size()) {
      same = same && (!rule || rules.size() == kRulesMax);
      return;
    }
    same = same && rule->handle == rules[index].handle;
    if (rules[index].has_counter) {
      if (known.objects[index].empty()) {
        auto counter = CountOf(*rule, known.counted_at[index]).counter;
        snapshot.counters[index] = counter ? counter : CountOf(*rule).counter;
      } else if (const auto object = objects.find(known.objects[index]); object != objects.end()) {
        snapshot.counters[index] = object->second;
      }
    }
    ++index;
  });
  if (!asked) return asked.error();
  if (!same || index != rules.size()) return std::optional<BackendReading>();

  if (known.has_policy_counters) {
    index = 0;
    asked = Query(*socket_, {NftMessage(NFT_MSG_GETCHAIN), Wants::kDump}, [&](Bytes message) {
      if (const auto chain = DecodeNftChain(message); chain && index < snapshot.policies.size()) {
        same = same && known.ruleset->chains[index].name == chain->name;
        snapshot.policies[index++] = chain->counter;
      }
    });
    if (!asked) return asked.error();
    if (!same) return std::optional<BackendReading>();
  }
  if (!known.changing.empty()) {
    auto sets = std::make_shared<std::vector<AddressSet>>(*known.sets);
    elements_read_ = 0;
    for (const SetToRead& set : known.changing) {
      if (const auto read = ReadElements(set, *sets); !read) return read.error();
    }
    snapshot.sets = std::move(sets);
  }
  return std::optional(std::move(snapshot));
}

Status NftReader::Rebuild(std::uint32_t generation) {
  building_ = {};
  contents_.clear();
  keys_.clear();
  elements_read_ = 0;
  auto ruleset = std::make_shared<Ruleset>();
  ruleset->generation = building_.generation = generation;
  auto done = Query(*socket_, {NftMessage(NFT_MSG_GETTABLE), Wants::kDump}, [&](Bytes message) {
    if (const auto table = DecodeNftTable(message))
      ruleset->tables.push_back({table->family, Owned(table->name), 0, 0});
  });
  if (done) done = ReadChains(*ruleset);
  if (done) done = ReadSets();
  if (done) done = ReadRules(*ruleset);
  if (done && FollowUpdates(*ruleset)) {
    ruleset->rules.clear();
    building_.objects.clear();
    building_.counted_at.clear();
    keys_.clear();
    done = ReadRules(*ruleset);
  }
  if (done) done = AddTexts(*ruleset);
  if (!done) return done;
  FinishRuleset(*ruleset);
  ruleset->uses_ipsets = NameIpsets(*ruleset);
  building_.ruleset = std::move(ruleset);
  known_ = std::move(building_);
  contents_.clear();
  keys_.clear();
  return Ok();
}

Status NftReader::ReadChains(Ruleset& ruleset) {
  return Query(*socket_, {NftMessage(NFT_MSG_GETCHAIN), Wants::kDump}, [&](Bytes message) {
    const auto chain = DecodeNftChain(message);
    if (!chain) return;
    RuleChain& added = ruleset.chains.emplace_back();
    added.family = chain->family;
    added.table = chain->table;
    added.name = chain->name;
    added.base = chain->base;
    if (!chain->base) return;
    added.type = chain->type;
    added.hook = HookName(chain->family, chain->hook);
    added.devices.assign(chain->devices.begin(), chain->devices.end());
    added.priority = chain->priority;
    added.policy = chain->policy == NF_DROP ? Verdict::kDrop : Verdict::kAccept;
    added.has_policy_counter = chain->counter.has_value();
    building_.has_policy_counters = building_.has_policy_counters || added.has_policy_counter;
  });
}

Status NftReader::ReadRules(Ruleset& ruleset) {
  return Query(*socket_, {NftMessage(NFT_MSG_GETRULE), Wants::kDump}, [&](Bytes message) {
    const auto decoded = DecodeNftRule(message);
    if (!decoded || ruleset.rules.size() >= kRulesMax) return;
    ruleset.rules.push_back(DecodeRule(*decoded, contents_));
    const NftRuleCount count = CountOf(*decoded);
    building_.counted_at.push_back(count.at);
    building_.objects.emplace_back();
    if (!count.object.empty()) {
      building_.objects.back() = ObjectKey(decoded->family, decoded->table, count.object);
      building_.has_objects = true;
    }
    keys_.push_back(TextKey(*decoded, contents_));
  });
}

Status NftReader::ReadSets() {
  std::vector<SetToRead> anonymous;
  auto sets = std::make_shared<std::vector<AddressSet>>();
  auto done = Query(*socket_, {NftMessage(NFT_MSG_GETSET), Wants::kDump}, [&](Bytes message) {
    const auto set = DecodeNftSet(message);
    if (!set) return;
    SetToRead read{set->family, Owned(set->table), Owned(set->name), (set->flags & NFT_SET_INTERVAL) != 0, 0};
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
    // Those of a named one are copied into each rule that looks into it.
    content.complete = elements_read_ < kElementsMax && !catch_all_ &&
                       (content.anonymous || content.elements.size() <= kNamedElementsMax);
  }
  for (const SetToRead& set : building_.named) {
    if (!done) return done;
    done = ReadElements(set, *sets);
    const AddressSet& read = (*sets)[set.index];
    const bool counts = std::any_of(read.elements.begin(), read.elements.end(),
                                    [](const SetElement& e) { return e.counter.has_value(); });
    if (read.dynamic || read.expires || counts) building_.changing.push_back(set);
  }
  building_.sets = std::move(sets);
  return done;
}

// Rules may fill sets that are not declared dynamic: of such a one nothing stands, either.
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
      const bool known = std::any_of(building_.changing.begin(), building_.changing.end(),
                                     [&](const SetToRead& changing) { return changing.index == set->index; });
      if (!known) building_.changing.push_back(*set);
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

// With `named`, its elements go there, with their counters; else they are returned.
Result<std::vector<NftSetContent::Element>> NftReader::DumpElements(RuleFamily family, const std::string& table,
                                                                    const std::string& name, bool intervals,
                                                                    AddressSet* named) {
  NetlinkRequest request(NftMessage(NFT_MSG_GETSETELEM), Wants::kDump, NfprotoOf(family));
  request.PutText(NFTA_SET_ELEM_LIST_TABLE, table).PutText(NFTA_SET_ELEM_LIST_SET, name);
  // Intervals may be cut by the end of a message, so all of the messages are kept until their end.
  std::vector<std::vector<std::byte>> messages;
  bool cut = false;
  const auto asked = Query(*socket_, request, [&](Bytes message) {
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
  // `*` stands for all keys that have no element of their own, which no range says.
  catch_all_ = std::any_of(elements.begin(), elements.end(),
                           [](const NftElement& element) { return (element.flags & NFT_SET_ELEM_CATCHALL) != 0; });
  if (named == nullptr) return RangesOf(elements, intervals);
  named->complete = !cut && !catch_all_;
  named->elements = AddressesOf(elements, intervals, named->address_family);
  return std::vector<NftSetContent::Element>();
}

Result<NftReader::Objects> NftReader::ReadObjects() {
  NetlinkRequest request(NftMessage(NFT_MSG_GETOBJ), Wants::kDump);
  request.Put(NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
  Objects objects;
  const auto asked = Query(*socket_, request, [&](Bytes message) {
    const auto object = DecodeNftObject(message);
    if (object && object->type == NFT_OBJECT_COUNTER)
      objects[ObjectKey(object->family, object->table, object->name)] = object->counter;
  });
  if (!asked) return asked.error();
  return objects;
}

Status NftReader::AddTexts(Ruleset& ruleset) {
  AssignNftTexts(ruleset, keys_, texts_);
  std::unordered_map<std::string, std::string> kept;
  for (std::size_t i = 0; i < keys_.size(); ++i) kept.emplace(std::move(keys_[i]), ruleset.rules[i].text);
  for (auto& [key, text] : texts_) {
    if (watch_.changes().Awaits(key)) kept.emplace(key, std::move(text));
  }
  texts_ = std::move(kept);
  return Ok();
}

void NftReader::AddChanges(BackendReading& snapshot) {
  watch_.CatchUp(known_->generation);
  snapshot.changes = watch_.changes().Take(*known_->ruleset, texts_);
  for (std::size_t i = 0; i < snapshot.changes.begun.size(); ++i) {
    if (!known_->objects[i].empty()) snapshot.changes.begun[i].reset();  // a named counter lives on its own
  }
  watch_.Begin(known_->ruleset, known_->generation);
}

}  // namespace conntally
