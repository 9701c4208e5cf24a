#include "collectors/rules/nft/messages/nft_expressions.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>

#include "collectors/rules/nft/messages/attribute_visit.h"

namespace conntally {

std::optional<NftExpression> DecodeNftExpression(Bytes nest) {
  NftExpression expression;
  const bool whole = ForEachAttribute(nest, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_EXPR_NAME) expression.name = AttributeText(attribute.payload);
    if (attribute.type == NFTA_EXPR_DATA) expression.data = attribute.payload;
  });
  if (!whole || expression.name.empty()) return std::nullopt;
  return expression;
}

bool NftExpressionWalk::Next(NftExpression& expression) {
  Attribute attribute;
  if (!walk_.Next(attribute)) return false;
  const auto decoded = DecodeNftExpression(attribute.payload);
  if (!decoded) {
    malformed_ = true;
    return false;
  }
  expression = *decoded;
  return true;
}

std::optional<RuleCounter> DecodeNftCounter(Bytes attributes) {
  RuleCounter counter;
  const bool whole = ForEachAttribute(attributes, [&](const Attribute& attribute) {
    if (attribute.payload.size() != 8) return;
    // NFTA_COUNTER_BYTES is 1 and NFTA_COUNTER_PACKETS 2, the same in chains and objects.
    if (attribute.type == NFTA_COUNTER_BYTES) counter.bytes = LoadNetworkOrder<std::uint64_t>(attribute.payload);
    if (attribute.type == NFTA_COUNTER_PACKETS) counter.packets = LoadNetworkOrder<std::uint64_t>(attribute.payload);
  });
  return whole ? std::optional(counter) : std::nullopt;
}

Bytes NftDataValue(Bytes nest) {
  Bytes value;
  ForEachAttribute(nest, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_DATA_VALUE) value = attribute.payload;
  });
  return value;
}

std::optional<NftVerdict> DecodeNftVerdict(Bytes nest) {
  std::optional<NftVerdict> verdict;
  ForEachAttribute(nest, [&](const Attribute& attribute) {
    if (attribute.type != NFTA_DATA_VERDICT) return;
    NftVerdict found;
    ForEachAttribute(attribute.payload, [&](const Attribute& part) {
      if (part.type == NFTA_VERDICT_CODE) found.code = static_cast<std::int32_t>(AttributeNumber32(part.payload));
      if (part.type == NFTA_VERDICT_CHAIN) found.chain = AttributeText(part.payload);
    });
    verdict = found;
  });
  return verdict;
}

std::vector<std::byte> WithoutCounts(Bytes expressions) {
  std::vector<std::byte> bytes(expressions.begin(), expressions.end());
  const auto clear = [&](Bytes part) {
    std::fill_n(bytes.begin() + (part.data() - expressions.data()), part.size(), std::byte{0});
  };
  NftExpressionWalk walk(expressions);
  for (NftExpression expression; walk.Next(expression);) {
    const bool counts = expression.name == "counter" || expression.name == "last";
    ForEachAttribute(expression.data, [&](const Attribute& attribute) {
      if (counts || (expression.name == "quota" && attribute.type == NFTA_QUOTA_CONSUMED)) clear(attribute.payload);
    });
  }
  return bytes;
}

}  // namespace conntally
