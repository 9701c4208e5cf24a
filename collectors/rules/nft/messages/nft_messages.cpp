#include "collectors/rules/nft/messages/nft_messages.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

#include "collectors/netlink/messages.h"
#include "collectors/rules/nft/messages/attribute_visit.h"

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

void ReadHook(Bytes nest, NftChain& chain) {
  ForEachAttribute(nest, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_HOOK_HOOKNUM) chain.hook = AttributeNumber32(attribute.payload);
    if (attribute.type == NFTA_HOOK_PRIORITY)
      chain.priority = static_cast<std::int32_t>(AttributeNumber32(attribute.payload));
    // The kernel reports one device by both attributes, several only by the list.
    if (attribute.type == NFTA_HOOK_DEV && chain.devices.empty()) chain.devices = {AttributeText(attribute.payload)};
    if (attribute.type != NFTA_HOOK_DEVS) return;
    chain.devices.clear();
    ForEachAttribute(attribute.payload, [&](const Attribute& device) {
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
    if (attribute.type == NFTA_GEN_ID && attribute.payload.size() == 4)
      generation = AttributeNumber32(attribute.payload);
  });
  return whole ? generation : std::nullopt;
}

std::optional<NftTable> DecodeNftTable(Bytes message) {
  const auto attributes = AttributesOf(message, NFT_MSG_NEWTABLE);
  if (!attributes) return std::nullopt;
  const auto family = FamilyOf(message);
  NftTable table;
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_CHAIN_TABLE: chain.table = AttributeText(attribute.payload); break;
      case NFTA_CHAIN_NAME: chain.name = AttributeText(attribute.payload); break;
      case NFTA_CHAIN_HOOK:
        chain.base = true;
        ReadHook(attribute.payload, chain);
        break;
      case NFTA_CHAIN_POLICY: chain.policy = AttributeNumber32(attribute.payload); break;
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_SET_TABLE: set.table = AttributeText(attribute.payload); break;
      case NFTA_SET_NAME: set.name = AttributeText(attribute.payload); break;
      case NFTA_SET_FLAGS: set.flags = AttributeNumber32(attribute.payload); break;
      case NFTA_SET_KEY_TYPE: set.key_type = AttributeNumber32(attribute.payload); break;
      case NFTA_SET_KEY_LEN: set.key_bytes = AttributeNumber32(attribute.payload); break;
      case NFTA_SET_DATA_TYPE: set.verdicts = AttributeNumber32(attribute.payload) == NFT_DATA_VERDICT; break;
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_OBJ_TABLE: object.table = AttributeText(attribute.payload); break;
      case NFTA_OBJ_NAME: object.name = AttributeText(attribute.payload); break;
      case NFTA_OBJ_TYPE: object.type = AttributeNumber32(attribute.payload); break;
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
  const bool whole = ForEachAttribute(nest, [&](const Attribute& attribute) {
    switch (attribute.type) {
      case NFTA_SET_ELEM_KEY: element.key = NftDataValue(attribute.payload); break;
      case NFTA_SET_ELEM_KEY_END: element.key_end = NftDataValue(attribute.payload); break;
      case NFTA_SET_ELEM_DATA:
        element.verdict = DecodeNftVerdict(attribute.payload);
        element.value = NftDataValue(attribute.payload);
        break;
      case NFTA_SET_ELEM_FLAGS: element.flags = AttributeNumber32(attribute.payload); break;
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
  const bool whole = ForEachAttribute(*attributes, [&](const Attribute& attribute) {
    if (attribute.type != NFTA_SET_ELEM_LIST_ELEMENTS) return;
    sound &= ForEachAttribute(attribute.payload, [&](const Attribute& item) {
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
      ForEachAttribute(expression.data, [&](const Attribute& attribute) {
        if (attribute.type == NFTA_OBJREF_IMM_TYPE) type = AttributeNumber32(attribute.payload);
        if (attribute.type == NFTA_OBJREF_IMM_NAME) name = AttributeText(attribute.payload);
      });
      if (type == NFT_OBJECT_COUNTER) count.object = name;
    }
  }
  return count;
}

}  // namespace conntally
