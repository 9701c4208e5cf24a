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

BackendReading NftReader::Read(const Elements& elements) {
  elements_ = elements;
  elements_cpu_ = {};
  const auto began = std::chrono::steady_clock::now();
  constexpr int kAttemptsMax = 8;
  Result<BackendReading> result = Error{};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    result = TryRead();
    if (result) break;
    socket_.reset();  // replies to an abandoned request may still come
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
  // nfnetlink_rcv_msg returns this for a missing subsystem; nf_tables itself accepts this request.
  if (!asked && asked.error().code == EINVAL) return Error{"the kernel has no nf_tables", EOPNOTSUPP};
  if (!asked) return asked.error();
  if (!generation) return Error{"the kernel does not tell nftables' generation", EOPNOTSUPP};
  return *generation;
}

Result<std::optional<BackendReading>> NftReader::Refresh() {
  Known& known = *known_;
  BackendReading snapshot;
  snapshot.present = snapshot.success = true;
  snapshot.ruleset = known.ruleset;
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
  if (const auto read = RefreshSets(); !read) return read.error();
  snapshot.sets = known.sets;
  return std::optional(std::move(snapshot));
}

Status NftReader::Rebuild(std::uint32_t generation) {
  watch_.CatchUp(generation);  // to learn which sets changed
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
    if (!known_->objects[i].empty()) snapshot.changes.begun[i].reset();  // a named counter outlives the rule
  }
  watch_.Begin(known_->ruleset, known_->generation);
}

}  // namespace conntally
