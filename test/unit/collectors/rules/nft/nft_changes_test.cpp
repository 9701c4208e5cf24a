#include "collectors/rules/nft/nft_changes.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "collectors/rules/nft/nft_texts.h"
#include "test/support/catch.h"
#include "test/support/message_builder.h"

using namespace conntally;
using namespace conntally::test;

namespace {

Buffer Text(int type, const std::string& text) {
  Buffer bytes(text.size() + 1);
  std::memcpy(bytes.data(), text.c_str(), bytes.size());
  return Field(type, bytes);
}

Buffer NftMessageOf(int kind, std::initializer_list<Buffer> attributes) {
  Buffer message = Message(0, 0, NFPROTO_INET, attributes);
  const Buffer type = HostBytes(NftMessage(kind));
  std::copy(type.begin(), type.end(), message.begin() + offsetof(nlmsghdr, nlmsg_type));
  return message;
}

Buffer Expression(const char* name, std::initializer_list<Buffer> data) {
  return Nest(NFTA_LIST_ELEM, {Text(NFTA_EXPR_NAME, name), Nest(NFTA_EXPR_DATA, data)});
}
Buffer Counter(std::uint64_t packets) {
  return Expression("counter", {Field(NFTA_COUNTER_BYTES, packets * 10), Field(NFTA_COUNTER_PACKETS, packets)});
}
Buffer Lookup(const char* set) { return Expression("lookup", {Text(NFTA_LOOKUP_SET, set)}); }
Buffer Meta(std::uint32_t key) { return Expression("meta", {Field(NFTA_META_KEY, key)}); }

Buffer RuleMessage(int kind, std::uint64_t handle, std::initializer_list<Buffer> expressions) {
  return NftMessageOf(kind, {Text(NFTA_RULE_TABLE, "t"), Text(NFTA_RULE_CHAIN, "c"), Field(NFTA_RULE_HANDLE, handle),
                             Nest(NFTA_RULE_EXPRESSIONS, expressions)});
}
Buffer SetMessage(const char* name) {
  return NftMessageOf(NFT_MSG_NEWSET, {Text(NFTA_SET_TABLE, "t"), Text(NFTA_SET_NAME, name),
                                       Field(NFTA_SET_FLAGS, std::uint32_t{NFT_SET_ANONYMOUS | NFT_SET_CONSTANT})});
}
Buffer ElementMessage(const char* set, std::uint16_t port) {
  return NftMessageOf(
      NFT_MSG_NEWSETELEM,
      {Text(NFTA_SET_ELEM_LIST_TABLE, "t"), Text(NFTA_SET_ELEM_LIST_SET, set),
       Nest(NFTA_SET_ELEM_LIST_ELEMENTS,
            {Nest(NFTA_LIST_ELEM, {Nest(NFTA_SET_ELEM_KEY, {Field(NFTA_DATA_VALUE, NetworkBytes(port))})})})});
}
Buffer Generation(std::uint32_t generation) { return NftMessageOf(NFT_MSG_NEWGEN, {Field(NFTA_GEN_ID, generation)}); }

std::shared_ptr<const Ruleset> Rules(const std::vector<std::uint64_t>& handles) {
  auto ruleset = std::make_shared<Ruleset>();
  for (const std::uint64_t handle : handles) {
    Rule& rule = ruleset->rules.emplace_back();
    rule.family = RuleFamily::kInet;
    rule.table = "t", rule.chain = "c", rule.handle = handle, rule.has_counter = true;
  }
  return ruleset;
}

void NoteAll(NftChanges& changes, std::initializer_list<Buffer> messages) {
  for (const Buffer& message : messages) changes.Note(message);
}

std::string KeyOf(const Buffer& message, const NftSetContents& sets = {}) {
  return TextKey(DecodeNftRule(message).value(), sets);
}

using Counters = std::vector<std::optional<RuleCounter>>;
RuleCounter Packets(std::uint64_t packets) { return {packets, packets * 10}; }

}  // namespace

TEST_CASE("the first deletion of a handle is of the rule that was there, later ones of rules that came and went") {
  NftChanges changes;
  const auto before = Rules({4, 5});
  changes.Begin(before, 10);
  NoteAll(changes, {RuleMessage(NFT_MSG_DELRULE, 4, {Meta(1), Counter(7)}),
                    RuleMessage(NFT_MSG_NEWRULE, 4, {Meta(2), Counter(0)}), Generation(11),
                    RuleMessage(NFT_MSG_DELRULE, 4, {Meta(2), Counter(3)}),
                    RuleMessage(NFT_MSG_NEWRULE, 4, {Meta(1), Counter(6)}), Generation(12),
                    RuleMessage(NFT_MSG_DELRULE, 4, {Meta(1), Counter(8)}),
                    RuleMessage(NFT_MSG_NEWRULE, 9, {Meta(1), Counter(2)}), Generation(13)});
  CHECK(changes.generation() == 13);
  const auto now = Rules({5, 9, 11});
  const RuleChanges told =
      changes.Take(*now, {{KeyOf(RuleMessage(NFT_MSG_NEWRULE, 0, {Meta(1), Counter(99)})), "one"}});
  CHECK(told.before == before);
  CHECK(told.finals == Counters{Packets(7), std::nullopt});
  REQUIRE(told.passed.size() == 1);  // that of which nobody knows a text is nobody's
  CHECK(told.passed[0].text == "one");
  CHECK(told.passed[0].table == "t");
  CHECK(told.passed[0].counted == Packets(2));
  CHECK(told.begun == Counters{std::nullopt, Packets(2), Packets(0)});
}

TEST_CASE("what was part of the dump is left out, and what came after it waits") {
  NftChanges changes;
  changes.Begin(Rules({4}), 0xffffffff);
  NoteAll(changes, {RuleMessage(NFT_MSG_DELRULE, 4, {Counter(7)}), Generation(0xffffffff)});
  CHECK(changes.Take(*Rules({4}), {}).finals.empty());
  changes.Begin(Rules({4}), 0xffffffff);
  NoteAll(changes, {RuleMessage(NFT_MSG_DELRULE, 4, {Counter(8)}), Generation(1)});  // it wraps
  CHECK(changes.Take(*Rules({}), {}).finals == Counters{Packets(8)});

  changes.Begin(Rules({4}), 1);
  NoteAll(changes, {RuleMessage(NFT_MSG_DELRULE, 4, {Counter(9)})});
  changes.Note(Generation(3), 2);  // the end of 2 was lost
  CHECK(changes.lost());
  const RuleChanges told = changes.Take(*Rules({4}), {});
  CHECK(told.finals.empty());
  CHECK(told.begun.empty());
}

TEST_CASE("rules with anonymous sets are known by the sets' elements") {
  NftChanges changes;
  changes.Begin(Rules({}), 1);
  NoteAll(changes, {SetMessage("__set7"), ElementMessage("__set7", 80), ElementMessage("__set7", 22),
                    RuleMessage(NFT_MSG_NEWRULE, 4, {Lookup("__set7"), Counter(0)}), Generation(2),
                    RuleMessage(NFT_MSG_DELRULE, 4, {Lookup("__set7"), Counter(5)}), Generation(3)});
  const Buffer first = ElementMessage("", 22), second = ElementMessage("", 80);
  NftSetContents sets;
  NftSetContent& content = sets[{RuleFamily::kInet, "t", "__set7"}];
  content.anonymous = true;
  auto elements = DecodeNftElements(first).value();
  elements.push_back(DecodeNftElements(second).value().front());
  content.elements = RangesOf(elements, false);
  const std::string key = KeyOf(RuleMessage(NFT_MSG_NEWRULE, 0, {Lookup("__set7"), Counter(1)}), sets);
  CHECK(changes.Awaits(key));
  const RuleChanges told = changes.Take(*Rules({}), {{key, "tcp dport { 22, 80 } counter"}});
  REQUIRE(told.passed.size() == 1);
  CHECK(told.passed[0].counted == Packets(5));
}

TEST_CASE("a restored counter of a rule that went again is no new packet") {
  NftChanges changes;
  changes.Begin(Rules({}), 1);
  NoteAll(changes,
          {RuleMessage(NFT_MSG_NEWRULE, 4, {Counter(50)}), Generation(2),
           RuleMessage(NFT_MSG_DELRULE, 4, {Counter(53)}), Generation(3), RuleMessage(NFT_MSG_NEWRULE, 5, {Counter(2)}),
           Generation(4), RuleMessage(NFT_MSG_DELRULE, 5, {Counter(30)}), Generation(5)});
  const RuleChanges told = changes.Take(*Rules({}), {{KeyOf(RuleMessage(NFT_MSG_NEWRULE, 0, {Counter(1)})), "it"}});
  REQUIRE(told.passed.size() == 1);
  CHECK(told.passed[0].counted == Packets(3 + 30));  // the two were the commit's own
}

TEST_CASE("notifications cut short anywhere are read without fault") {
  const Buffer rule = RuleMessage(NFT_MSG_DELRULE, 4, {Lookup("__set7"), Counter(5)});
  const Buffer element = ElementMessage("__set7", 80);
  for (const Buffer& whole : {rule, element, SetMessage("__set7"), Generation(2)}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      NftChanges changes;
      changes.Begin(Rules({4}), 1);
      changes.Note(SetMessage("__set7"));
      changes.Note(Bytes(whole).first(length));
      changes.Note(Generation(2));
      CHECK(changes.Take(*Rules({4}), {}).passed.empty());
    }
  }
}
