// Any bytes as messages of nftables and of ipset.
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_rules
//   build/fuzz/test/fuzz/fuzz_rules -max_len=8192 build/fuzz/test/fuzz/corpus/rules
#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "collectors/netlink/messages.h"
#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/rules/nft/decode/nft_rule_decoder.h"
#include "collectors/rules/nft/nft_changes.h"
#include "collectors/rules/nft/nft_texts.h"
#include "collectors/rules/ruleset_finish.h"
#include "test/fuzz/netlink_mutator.h"

CONNTALLY_MUTATES_NETFILTER_MESSAGES;

namespace {

using namespace conntally;

void Message(Bytes message, NftSetContents& sets, Ruleset& ruleset, NftChanges& changes) {
  changes.Note(message);
  (void)DecodeNftGeneration(message);
  (void)DecodeNftTable(message);
  (void)DecodeNftObject(message);
  (void)DecodeIpset(message);
  if (const auto chain = DecodeNftChain(message)) {
    RuleChain& added = ruleset.chains.emplace_back();
    added.family = chain->family, added.table = chain->table, added.name = chain->name;
  }
  if (const auto set = DecodeNftSet(message)) {
    NftSetContent& content = sets[{set->family, std::string(set->table), std::string(set->name)}];
    content.anonymous = (set->flags & 1) != 0;
    content.key_bytes = set->key_bytes;
  }
  if (const auto elements = DecodeNftElements(message)) {
    for (const bool intervals : {false, true}) {
      (void)AddressesOf(*elements, intervals, Family::kIpv4);
      auto ranges = RangesOf(*elements, intervals);
      if (!sets.empty()) sets.begin()->second.elements = std::move(ranges);
    }
  }
  if (const auto rule = DecodeNftRule(message)) {
    ruleset.rules.push_back(DecodeRule(*rule, sets));
    (void)CountOf(*rule);
    (void)TextKey(*rule, sets);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  NftSetContents sets;
  Ruleset ruleset;
  NftChanges changes;
  changes.Begin(std::make_shared<Ruleset>(), 0);
  MessageWalk walk(bytes);
  for (Bytes message; walk.Next(message);) Message(message, sets, ruleset, changes);
  Message(bytes, sets, ruleset, changes);
  (void)changes.Take(ruleset, {});
  FinishRuleset(ruleset);

  return 0;
}
