// Decodes the expressions of nftables' rules, and the data in expressions and set elements. Pure functions of bytes;
// results point into the message. Any thread.
//
// Source: linux/netfilter/nf_tables.h; net/netfilter/nf_tables_api.c (nf_tables_fill_expr_info, nft_data_dump).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "collectors/netlink/attributes.h"
#include "collectors/rules/rule_words.h"

namespace conntally {

// One expression of a rule: its name and its attributes.
struct NftExpression {
  std::string_view name;
  Bytes data;
};
class NftExpressionWalk {
 public:
  explicit NftExpressionWalk(Bytes expressions) : walk_(expressions) {}
  bool Next(NftExpression& expression);
  std::size_t rest_bytes() const { return walk_.rest_bytes(); }
  bool malformed() const { return malformed_ || walk_.malformed(); }

 private:
  AttributeWalk walk_;
  bool malformed_ = false;
};
std::optional<NftExpression> DecodeNftExpression(Bytes nest);

struct NftVerdict {
  std::int32_t code = 0;
  std::string_view chain;
};

// Packets and bytes, from the attributes of a `counter` expression, a chain's counters or a counter object.
std::optional<RuleCounter> DecodeNftCounter(Bytes attributes);
// The data of an NFTA_DATA_* nest: a value, or a verdict.
Bytes NftDataValue(Bytes nest);
std::optional<NftVerdict> DecodeNftVerdict(Bytes nest);

// The bytes of `expressions` with all packet-dependent figures set to zero: equal bytes mean equal rules.
std::vector<std::byte> WithoutCounts(Bytes expressions);

}  // namespace conntally
