#include "collectors/rules/nft/nft_texts.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "collectors/rules/text/rule_texts.h"

namespace conntally {
namespace {

void Append(std::string& key, Bytes bytes) {
  key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()).push_back('\0');
}

std::string FallbackText(const std::string& key) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "(unreadable rule %016zx)", std::hash<std::string>()(key));
  return text.data();
}

using TableKey = std::pair<RuleFamily, std::string>;

// Names and rules are such as iptables-nft makes them: its tables are listed by its own tool. Whether it was really it
// that made them shows when that tool prints as many rules.
class IptablesTables {
 public:
  explicit IptablesTables(const Ruleset& ruleset) {
    for (const RuleTable& table : ruleset.tables) {
      const bool family = table.family == RuleFamily::kIp || table.family == RuleFamily::kIp6;
      if (family && (table.name == "filter" || table.name == "nat" || table.name == "mangle" || table.name == "raw" ||
                     table.name == "security")) {
        tables_[{table.family, table.name}] = true;
      }
    }
    for (const RuleChain& chain : ruleset.chains) {
      if (chain.base && !IsBuiltIn(chain.name)) Exclude(chain.family, chain.table);
    }
    for (const Rule& rule : ruleset.rules) {
      if (!rule.has_counter) Exclude(rule.family, rule.table);
    }
  }

  bool Has(RuleFamily family, const std::string& table) const {
    const auto found = tables_.find({family, table});
    return found != tables_.end() && found->second;
  }

 private:
  static bool IsBuiltIn(const std::string& name) {
    return name == "INPUT" || name == "FORWARD" || name == "OUTPUT" || name == "PREROUTING" || name == "POSTROUTING";
  }
  void Exclude(RuleFamily family, const std::string& table) {
    if (const auto found = tables_.find({family, table}); found != tables_.end()) found->second = false;
  }
  std::map<TableKey, bool> tables_;
};

class Assignment {
 public:
  Assignment(Ruleset& ruleset, const std::vector<std::string>& keys,
             const std::unordered_map<std::string, std::string>& known)
      : ruleset_(ruleset), iptables_(ruleset) {
    for (RuleTable& table : ruleset.tables) table.by_iptables = iptables_.Has(table.family, table.name);
    std::map<std::pair<TableKey, std::string>, std::size_t> positions;
    for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
      Rule& rule = ruleset.rules[i];
      const std::size_t position = positions[{{rule.family, rule.table}, rule.chain}]++;
      if (const auto text = known.find(keys[i]); text != known.end()) {
        rule.text = text->second;
        continue;
      }
      rule.text = Listed(rule, position).value_or(std::string());
      if (rule.text.empty()) rule.text = FallbackText(keys[i]);
    }
  }

 private:
  std::optional<std::string> Listed(const Rule& rule, std::size_t position) {
    if (iptables_.Has(rule.family, rule.table)) {
      const SaveTexts& saved = Saved(rule.family);
      const auto chain = saved.find({rule.table, rule.chain});
      if (chain != saved.end() && chain->second.size() == RulesIn(rule) && position < chain->second.size())
        return chain->second[position];
    }
    const NftTexts& listed = Native(rule.family, rule.table);
    const auto text = listed.find(rule.handle);
    return text != listed.end() ? std::optional(text->second) : std::nullopt;
  }

  const SaveTexts& Saved(RuleFamily family) {
    auto& saved = saved_[family];
    if (!saved) {
      auto listed = ListSaved(family == RuleFamily::kIp ? SaveTool::kIptablesNft : SaveTool::kIp6tablesNft);
      saved = listed ? std::move(*listed) : SaveTexts();
    }
    return *saved;
  }

  const NftTexts& Native(RuleFamily family, const std::string& table) {
    auto& native = native_[family];
    if (!native) {
      auto listed = ListNftTables(family);
      native = listed ? std::move(*listed) : std::map<std::string, NftTexts>();
    }
    return (*native)[table];
  }

  std::size_t RulesIn(const Rule& rule) {
    if (rules_in_.empty()) {
      for (const Rule& each : ruleset_.rules) ++rules_in_[{{each.family, each.table}, each.chain}];
    }
    return rules_in_[{{rule.family, rule.table}, rule.chain}];
  }

  const Ruleset& ruleset_;
  const IptablesTables iptables_;
  std::map<RuleFamily, std::optional<SaveTexts>> saved_;
  std::map<RuleFamily, std::optional<std::map<std::string, NftTexts>>> native_;  // by table
  std::map<std::pair<TableKey, std::string>, std::size_t> rules_in_;
};

}  // namespace

std::string TextKey(const NftRule& rule, const NftSetContents& sets) {
  std::string key = NameOf(rule.family);
  for (const std::string_view part : {rule.table, rule.chain}) key.append(1, '\0').append(part);
  key.push_back('\0');
  Append(key, WithoutCounts(rule.expressions));
  Append(key, rule.userdata);
  NftExpressionWalk walk(rule.expressions);
  for (NftExpression expression; walk.Next(expression);) {
    if (expression.name != "lookup") continue;
    AttributeWalk attributes(expression.data);
    for (Attribute attribute; attributes.Next(attribute);) {
      if (attribute.type != NFTA_LOOKUP_SET) continue;
      const auto set = sets.find({rule.family, std::string(rule.table), std::string(AttributeText(attribute.payload))});
      if (set == sets.end() || !set->second.anonymous) continue;
      for (const NftSetContent::Element& element : set->second.elements) {
        Append(key, element.first);
        Append(key, element.last);
        key.append(NameOf(element.verdict)).append(element.jump_target).push_back('\0');
      }
    }
  }
  return key;
}

void AssignNftTexts(Ruleset& ruleset, const std::vector<std::string>& keys,
                    const std::unordered_map<std::string, std::string>& known) {
  Assignment(ruleset, keys, known);
}

std::vector<SetElement> AddressesOf(const std::vector<NftElement>& elements, bool intervals, Family family) {
  std::map<std::string_view, const NftElement*> by_key;
  for (const NftElement& element : elements) {
    if ((element.flags & NFT_SET_ELEM_INTERVAL_END) == 0) {
      by_key[{reinterpret_cast<const char*>(element.key.data()), element.key.size()}] = &element;
    }
  }
  std::vector<SetElement> addresses;
  const std::size_t width = AddressBits(family) / 8;
  for (const NftSetContent::Element& range : RangesOf(elements, intervals)) {
    if (range.first.size() != width) continue;
    SetElement& added = addresses.emplace_back();
    added.addresses.first.family = added.addresses.last.family = family;
    for (std::size_t i = 0; i < width; ++i) {
      added.addresses.first.bytes[i] = std::to_integer<std::uint8_t>(range.first[i]);
      added.addresses.last.bytes[i] = std::to_integer<std::uint8_t>(range.last[i]);
    }
    const auto element = by_key.find({reinterpret_cast<const char*>(range.first.data()), range.first.size()});
    if (element != by_key.end()) added.counter = element->second->counter;
  }
  return addresses;
}

}  // namespace conntally
