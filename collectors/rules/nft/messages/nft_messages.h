// Decodes nftables' netlink messages. Pure functions of bytes; results point into the message. Any thread.
//
// Source: linux/netfilter/nf_tables.h; net/netfilter/nf_tables_api.c (nf_tables_fill_*_info).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/nft/messages/nft_expressions.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

constexpr std::uint16_t NftMessage(int message) {
  return static_cast<std::uint16_t>(10 /* NFNL_SUBSYS_NFTABLES */ << 8 | message);
}

// nullopt: an unknown family.
std::optional<RuleFamily> RuleFamilyOf(std::uint8_t nfproto);
std::uint8_t NfprotoOf(RuleFamily family);

struct NftTable {
  RuleFamily family = RuleFamily::kIp;
  std::string_view name;
};

struct NftChain {
  RuleFamily family = RuleFamily::kIp;
  std::string_view table;
  std::string_view name;
  bool base = false;
  std::uint32_t hook = 0;
  std::int32_t priority = 0;
  std::vector<std::string_view> devices;
  std::string_view type;
  std::uint32_t policy = 1;  // NF_ACCEPT
  std::optional<RuleCounter> counter;
};

struct NftRule {
  RuleFamily family = RuleFamily::kIp;
  std::string_view table;
  std::string_view chain;
  std::uint64_t handle = 0;
  Bytes expressions;  // the payload of NFTA_RULE_EXPRESSIONS
  Bytes userdata;
};

struct NftSet {
  RuleFamily family = RuleFamily::kIp;
  std::string_view table;
  std::string_view name;
  std::uint32_t flags = 0;     // NFT_SET_*
  std::uint32_t key_type = 0;  // nft's own numbers of data types; see kNftTypeIpv4
  std::uint32_t key_bytes = 0;
  bool verdicts = false;  // a verdict map
};
inline constexpr std::uint32_t kNftTypeIpv4 = 7,
                               kNftTypeIpv6 = 8;  // nft's include/datatype.h, TYPE_IPADDR and TYPE_IP6ADDR

struct NftElement {
  std::uint32_t flags = 0;  // NFT_SET_ELEM_*
  Bytes key;
  Bytes key_end;
  std::optional<NftVerdict> verdict;
  Bytes value;  // in a map of values
  std::optional<RuleCounter> counter;
};

struct NftObject {
  RuleFamily family = RuleFamily::kIp;
  std::string_view table;
  std::string_view name;
  std::uint32_t type = 0;  // NFT_OBJECT_*
  RuleCounter counter;     // of NFT_OBJECT_COUNTER
};

// nullopt: the message is malformed, of another kind, or of an unknown family.
std::optional<std::uint32_t> DecodeNftGeneration(Bytes message);
std::optional<NftTable> DecodeNftTable(Bytes message);
std::optional<NftChain> DecodeNftChain(Bytes message);
std::optional<NftRule> DecodeNftRule(Bytes message);
std::optional<NftRule> DecodeNftDeletedRule(Bytes message);  // a notification, with the counters' last values
std::optional<NftSet> DecodeNftSet(Bytes message);
std::optional<NftSet> DecodeNftDeletedSet(Bytes message);  // only its place
std::optional<NftObject> DecodeNftObject(Bytes message);
// The elements in one message of a dump or a notification.
std::optional<std::vector<NftElement>> DecodeNftElements(Bytes message);
// The set of these elements: only its place.
std::optional<NftSet> DecodeNftElementsSet(Bytes message);

// A rule's counter: the last one in it (nft prints all; more than one is unusual), or a named one.
struct NftRuleCount {
  std::optional<RuleCounter> counter;
  std::string_view object;  // the name of a counter object
  std::size_t at = 0;       // where it begins in the rule's expressions, in bytes
};
// Searches from `at`: a counter stays at its place while the ruleset's generation does.
NftRuleCount CountOf(const NftRule& rule, std::size_t at = 0);

}  // namespace conntally
