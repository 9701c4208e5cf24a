#include "collectors/rules/nft/messages/nft_messages.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

#include "collectors/netlink/messages.h"

namespace conntally {
namespace {

// The attributes of a whole message of this kind.
std::optional<Bytes> AttributesOf(Bytes message, int kind) {
  const auto read = ReadNetfilterMessage(message);
  return read && read->type == NftMessage(kind) ? std::optional(read->attributes) : std::nullopt;
}

std::optional<RuleFamily> FamilyOf(Bytes message) {
  return RuleFamilyOf(static_cast<std::uint8_t>(message[MessageHeader::kBytes]));
}

std::uint32_t Number32(Bytes payload) { return static_cast<std::uint32_t>(AttributeNumber(payload).value_or(0)); }

// Walks `attributes`; false when they are malformed.
template <typename Visit>
bool ForEach(Bytes attributes, Visit visit) {
  AttributeWalk walk(attributes);
  for (Attribute attribute; walk.Next(attribute);) visit(attribute);
  return !walk.malformed();
}

void ReadHook(Bytes nest, NftChain& chain) {
  ForEach(nest, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_HOOK_HOOKNUM) chain.hook = Number32(attribute.payload);
    if (attribute.type == NFTA_HOOK_PRIORITY) chain.priority = static_cast<std::int32_t>(Number32(attribute.payload));
    // The kernel tells one device by both, several by the list alone.
    if (attribute.type == NFTA_HOOK_DEV && chain.devices.empty()) chain.devices = {AttributeText(attribute.payload)};
    if (attribute.type != NFTA_HOOK_DEVS) return;
    chain.devices.clear();
    ForEach(attribute.payload, [&](const Attribute& device) {
      if (device.type == NFTA_DEVICE_NAME) chain.devices.push_back(AttributeText(device.payload));
    });
  });
}

}  // namespace

std::optional<RuleFamily> RuleFamilyOf(std::uint8_t nfproto) {
  switch (nfproto) {
    case NFPROTO_IPV4: return RuleFamily::kIp;
    case NFPROTO_IPV6: return RuleFamily::kIp6;
    case NFPROTO_INET: return RuleFamily::kInet;
    case NFPROTO_ARP: return RuleFamily::kArp;
    case NFPROTO_BRIDGE: return RuleFamily::kBridge;
    case NFPROTO_NETDEV: return RuleFamily::kNetdev;
    default: return std::nullopt;
  }
}

std::uint8_t NfprotoOf(RuleFamily family) {
  switch (family) {
    case RuleFamily::kIp: return NFPROTO_IPV4;
    case RuleFamily::kIp6: return NFPROTO_IPV6;
    case RuleFamily::kInet: return NFPROTO_INET;
    case RuleFamily::kArp: return NFPROTO_ARP;
    case RuleFamily::kBridge: return NFPROTO_BRIDGE;
    case RuleFamily::kNetdev: return NFPROTO_NETDEV;
  }
  return NFPROTO_UNSPEC;
}

std::optional<std::uint32_t> DecodeNftGeneration(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWGEN);
  if (!attributes) return std::nullopt;
  std::optional<std::uint32_t> generation;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_GEN_ID && attribute.payload.size() == 4) generation = Number32(attribute.payload);
  });
  return whole ? generation : std::nullopt;
}

std::optional<NftTable> DecodeNftTable(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWTABLE);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftTable table;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_TABLE_NAME) table.name = AttributeText(attribute.payload);
  });
  if (!whole || !family || table.name.empty()) return std::nullopt;
  table.family = *family;
  return table;
}

std::optional<NftChain> DecodeNftChain(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWCHAIN);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftChain chain;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_CHAIN_TABLE: chain.table = AttributeText(attribute.payload); break;
      case NFTA_CHAIN_NAME: chain.name = AttributeText(attribute.payload); break;
      case NFTA_CHAIN_HOOK:
        chain.base = true;
        ReadHook(attribute.payload, chain);
        break;
      case NFTA_CHAIN_POLICY: chain.policy = Number32(attribute.payload); break;
      case NFTA_CHAIN_TYPE: chain.type = AttributeText(attribute.payload); break;
      case NFTA_CHAIN_COUNTERS: chain.counter = DecodeNftCounter(attribute.payload); break;
      default: break;
    }
  });
  if (!whole || !family || chain.table.empty() || chain.name.empty()) return std::nullopt;
  chain.family = *family;
  return chain;
}

namespace {

std::optional<NftRule> DecodeRuleOf(Bytes message, int kind) {
  const auto attributes = AttributesOf(message, kind);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftRule rule;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_RULE_TABLE: rule.table = AttributeText(attribute.payload); break;
      case NFTA_RULE_CHAIN: rule.chain = AttributeText(attribute.payload); break;
      case NFTA_RULE_HANDLE: rule.handle = AttributeNumber(attribute.payload).value_or(0); break;
      case NFTA_RULE_EXPRESSIONS: rule.expressions = attribute.payload; break;
      case NFTA_RULE_USERDATA: rule.userdata = attribute.payload; break;
      default: break;
    }
  });
  if (!whole || !family || rule.table.empty() || rule.chain.empty()) return std::nullopt;
  rule.family = *family;
  return rule;
}

std::optional<NftSet> DecodeSetOf(Bytes message, int kind) {
  const auto attributes = AttributesOf(message, kind);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftSet set;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_SET_TABLE: set.table = AttributeText(attribute.payload); break;
      case NFTA_SET_NAME: set.name = AttributeText(attribute.payload); break;
      case NFTA_SET_FLAGS: set.flags = Number32(attribute.payload); break;
      case NFTA_SET_KEY_TYPE: set.key_type = Number32(attribute.payload); break;
      case NFTA_SET_KEY_LEN: set.key_bytes = Number32(attribute.payload); break;
      case NFTA_SET_DATA_TYPE: set.verdicts = Number32(attribute.payload) == NFT_DATA_VERDICT; break;
      default: break;
    }
  });
  if (!whole || !family || set.table.empty() || set.name.empty()) return std::nullopt;
  set.family = *family;
  return set;
}

}  // namespace

std::optional<NftRule> DecodeNftRule(Bytes message) { return DecodeRuleOf(message, NFT_MSG_NEWRULE); }
std::optional<NftRule> DecodeNftDeletedRule(Bytes message) { return DecodeRuleOf(message, NFT_MSG_DELRULE); }
std::optional<NftSet> DecodeNftSet(Bytes message) { return DecodeSetOf(message, NFT_MSG_NEWSET); }
std::optional<NftSet> DecodeNftDeletedSet(Bytes message) { return DecodeSetOf(message, NFT_MSG_DELSET); }

std::optional<NftSet> DecodeNftElementsSet(Bytes message) {
  auto attributes = AttributesOf(message, NFT_MSG_NEWSETELEM);
  if (!attributes) attributes = AttributesOf(message, NFT_MSG_DELSETELEM);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftSet set;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_SET_ELEM_LIST_TABLE) set.table = AttributeText(attribute.payload);
    if (attribute.type == NFTA_SET_ELEM_LIST_SET) set.name = AttributeText(attribute.payload);
  });
  if (!whole || !family || set.table.empty() || set.name.empty()) return std::nullopt;
  set.family = *family;
  return set;
}

std::optional<NftObject> DecodeNftObject(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWOBJ);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftObject object;
  Bytes data;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_OBJ_TABLE: object.table = AttributeText(attribute.payload); break;
      case NFTA_OBJ_NAME: object.name = AttributeText(attribute.payload); break;
      case NFTA_OBJ_TYPE: object.type = Number32(attribute.payload); break;
      case NFTA_OBJ_DATA: data = attribute.payload; break;
      default: break;
    }
  });
  if (!whole || !family || object.table.empty() || object.name.empty()) return std::nullopt;
  object.family = *family;
  if (object.type == NFT_OBJECT_COUNTER) object.counter = DecodeNftCounter(data).value_or(RuleCounter{});
  return object;
}

namespace {

std::optional<RuleCounter> CounterAmong(Bytes expressions) {
  std::optional<RuleCounter> counter;
  NftExpressionWalk walk(expressions);
  for (NftExpression expression; walk.Next(expression);) {
    if (expression.name == "counter") counter = DecodeNftCounter(expression.data);
  }
  return counter;
}

std::optional<NftElement> DecodeElement(Bytes nest) {
  NftElement element;
  const bool whole = ForEach(nest, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_SET_ELEM_KEY: element.key = NftDataValue(attribute.payload); break;
      case NFTA_SET_ELEM_KEY_END: element.key_end = NftDataValue(attribute.payload); break;
      case NFTA_SET_ELEM_DATA:
        element.verdict = DecodeNftVerdict(attribute.payload);
        element.value = NftDataValue(attribute.payload);
        break;
      case NFTA_SET_ELEM_FLAGS: element.flags = Number32(attribute.payload); break;
      case NFTA_SET_ELEM_EXPR:
        if (const auto expression = DecodeNftExpression(attribute.payload); expression && expression->name == "counter")
          element.counter = DecodeNftCounter(expression->data);
        break;
      case NFTA_SET_ELEM_EXPRESSIONS: element.counter = CounterAmong(attribute.payload); break;
      default: break;
    }
  });
  return whole ? std::optional(element) : std::nullopt;
}

}  // namespace

std::optional<std::vector<NftElement>> DecodeNftElements(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWSETELEM);
  if (!attributes) return std::nullopt;
  std::vector<NftElement> elements;
  bool sound = true;
  const bool whole = ForEach(*attributes, [&](const Attribute& attribute) {
    if (attribute.type != NFTA_SET_ELEM_LIST_ELEMENTS) return;
    sound &= ForEach(attribute.payload, [&](const Attribute& item) {
      if (auto element = DecodeElement(item.payload)) {
        elements.push_back(*element);
      } else {
        sound = false;
      }
    });
  });
  if (!whole || !sound) return std::nullopt;
  return elements;
}

std::optional<NftExpression> DecodeNftExpression(Bytes nest) {
  NftExpression expression;
  const bool whole = ForEach(nest, [&](const Attribute& attribute) {
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
  const bool whole = ForEach(attributes, [&](const Attribute& attribute) {
    if (attribute.payload.size() != 8) return;
    // NFTA_COUNTER_BYTES is 1 and NFTA_COUNTER_PACKETS 2, alike in chains and in objects.
    if (attribute.type == NFTA_COUNTER_BYTES) counter.bytes = LoadNetworkOrder<std::uint64_t>(attribute.payload);
    if (attribute.type == NFTA_COUNTER_PACKETS) counter.packets = LoadNetworkOrder<std::uint64_t>(attribute.payload);
  });
  return whole ? std::optional(counter) : std::nullopt;
}

Bytes NftDataValue(Bytes nest) {
  Bytes value;
  ForEach(nest, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_DATA_VALUE) value = attribute.payload;
  });
  return value;
}

std::optional<NftVerdict> DecodeNftVerdict(Bytes nest) {
  std::optional<NftVerdict> verdict;
  ForEach(nest, [&](const Attribute& attribute) {
    if (attribute.type != NFTA_DATA_VERDICT) return;
    NftVerdict found;
    ForEach(attribute.payload, [&](const Attribute& part) {
      if (part.type == NFTA_VERDICT_CODE) found.code = static_cast<std::int32_t>(Number32(part.payload));
      if (part.type == NFTA_VERDICT_CHAIN) found.chain = AttributeText(part.payload);
    });
    verdict = found;
  });
  return verdict;
}

NftRuleCount CountOf(const NftRule& rule, std::size_t at) {
  NftRuleCount count;
  NftExpressionWalk walk(rule.expressions.subspan(std::min(at, rule.expressions.size())));
  std::size_t rest = walk.rest_bytes();
  for (NftExpression expression; walk.Next(expression); rest = walk.rest_bytes()) {
    if (expression.name == "counter") {
      count.counter = DecodeNftCounter(expression.data);
      count.at = rule.expressions.size() - rest;
    } else if (expression.name == "objref") {
      std::uint32_t type = 0;
      std::string_view name;
      ForEach(expression.data, [&](const Attribute& attribute) {
        if (attribute.type == NFTA_OBJREF_IMM_TYPE) type = Number32(attribute.payload);
        if (attribute.type == NFTA_OBJREF_IMM_NAME) name = AttributeText(attribute.payload);
      });
      if (type == NFT_OBJECT_COUNTER) count.object = name;
    }
  }
  return count;
}

std::vector<std::byte> WithoutCounts(Bytes expressions) {
  std::vector<std::byte> bytes(expressions.begin(), expressions.end());
  const auto clear = [&](Bytes part) {
    std::fill_n(bytes.begin() + (part.data() - expressions.data()), part.size(), std::byte{0});
  };
  NftExpressionWalk walk(expressions);
  for (NftExpression expression; walk.Next(expression);) {
    const bool counts = expression.name == "counter" || expression.name == "last";
    ForEach(expression.data, [&](const Attribute& attribute) {
      if (counts || (expression.name == "quota" && attribute.type == NFTA_QUOTA_CONSUMED)) clear(attribute.payload);
    });
  }
  return bytes;
}

}  // namespace conntally
