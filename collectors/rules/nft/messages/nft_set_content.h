// The elements of nftables' sets and maps that are needed to decode rules. Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; libnftnl's and nft's reading of interval sets.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

// A set or map as rules use it. Maps, and sets whose elements change only with the rules, have their elements.
struct NftSetContent {
  bool anonymous = false;
  bool elements_stand = false;   // neither packets nor time change them, and they are not addresses
  bool elements_change = false;  // by packets or time, without a new generation
  bool maps = false;             // to verdicts or to values
  bool complete = true;
  std::uint32_t key_bytes = 0;
  struct Element {
    std::vector<std::byte> first;  // both ends included, of equal length
    std::vector<std::byte> last;
    Verdict verdict = Verdict::kContinue;
    std::string jump_target;
    std::vector<std::byte> value = {};  // of a map of values
  };
  std::vector<Element> elements;
};
// By family, table, name.
using NftSetContents = std::map<std::tuple<RuleFamily, std::string, std::string>, NftSetContent>;

// The elements of one set's dump as ranges, ordered by key. In an interval set of one field, the kernel's elements are
// starts and ends.
std::vector<NftSetContent::Element> RangesOf(const std::vector<NftElement>& elements, bool intervals);

Verdict VerdictOf(std::int32_t code);

}  // namespace conntally
