// What an nftables rule asks of a packet and does with it, from its expressions: the virtual machine's registers are followed
// from load to comparison. Whatever is not understood leaves Rule::fully_understood false; nothing is guessed. Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; the expressions' meaning: net/netfilter/nft_*.c.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "collectors/rules/nft_messages.h"
#include "collectors/rules/rule_snapshot.h"

namespace conntally {

// A set or map as rules use it: those whose elements stand as long as the rules do, and verdict maps, with their elements.
struct NftSetContent {
  bool anonymous = false;
  bool elements_stand = false;  // also of a named one: neither packets nor time change them, and they are not addresses
  bool elements_change = false;  // by packets or time, without a new generation
  bool verdicts = false;
  bool complete = true;
  std::uint32_t key_bytes = 0;
  struct Element {
    std::vector<std::byte> first;  // both ends included, equally long
    std::vector<std::byte> last;
    Verdict verdict = Verdict::kContinue;
    std::string jump_target;
  };
  std::vector<Element> elements;
};
// By family, table, name.
using NftSetContents = std::map<std::tuple<RuleFamily, std::string, std::string>, NftSetContent>;

// The elements of one set's dump as ranges, in the order of their keys. Interval sets of one field come as starts and ends.
std::vector<NftSetContent::Element> RangesOf(const std::vector<NftElement>& elements, bool intervals);

Verdict VerdictOf(std::int32_t code);

// All of Rule but backend, position and text.
Rule DecodeRule(const NftRule& message, const NftSetContents& sets);

// The comment that nft stores in a rule's user data, and iptables-nft in a match.
std::string CommentOf(Bytes userdata);

}  // namespace conntally
