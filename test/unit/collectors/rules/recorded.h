// Rulesets from recorded answers of the kernel (record_rules.py), and rules as one line each, for tests to compare.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "collectors/rules/iptables/legacy_blob.h"
#include "collectors/rules/nft/decode/nft_rule_decoder.h"
#include "collectors/rules/ruleset_finish.h"
#include "test/support/recording.h"

namespace conntally::test {

inline std::string Lines(const RuleCondition& condition) {
  static const std::map<RuleCondition::Kind, const char*> kNames = {
      {RuleCondition::Kind::kSource, "source"},
      {RuleCondition::Kind::kDestination, "destination"},
      {RuleCondition::Kind::kFamily, "family"},
      {RuleCondition::Kind::kProtocol, "protocol"},
      {RuleCondition::Kind::kSourcePort, "sport"},
      {RuleCondition::Kind::kDestinationPort, "dport"},
      {RuleCondition::Kind::kInInterface, "in"},
      {RuleCondition::Kind::kOutInterface, "out"},
      {RuleCondition::Kind::kConntrackState, "state"},
      {RuleCondition::Kind::kIcmpType, "icmp"},
      {RuleCondition::Kind::kTcpFlags, "flags"},
      {RuleCondition::Kind::kIcmpCode, "icmp-code"},
      {RuleCondition::Kind::kInInterfaceIndex, "in-index"},
      {RuleCondition::Kind::kOutInterfaceIndex, "out-index"},
      {RuleCondition::Kind::kMark, "mark"},
      {RuleCondition::Kind::kConntrackStatus, "status"},
      {RuleCondition::Kind::kSourceType, "source-type"},
      {RuleCondition::Kind::kDestinationType, "destination-type"},
      {RuleCondition::Kind::kPacketType, "packet-type"},
      {RuleCondition::Kind::kReversePath, "reverse-path"},
      {RuleCondition::Kind::kTuple, "tuple"}};
  std::string text = std::string(condition.negated ? "!" : "") + kNames.at(condition.kind) + "=";
  std::string list;
  const auto add = [&](const std::string& item) { list += (list.empty() ? "" : ",") + item; };
  for (const AddressRange& range : condition.addresses) {
    add(range.first == range.last ? range.first.ToString() : range.first.ToString() + "-" + range.last.ToString());
  }
  for (const NumberRange& range : condition.numbers) {
    add(range.first == range.last ? std::to_string(range.first)
                                  : std::to_string(range.first) + "-" + std::to_string(range.last));
  }
  for (const std::string& name : condition.interfaces) add(name);
  if (!condition.set.empty()) add("@" + condition.set);
  for (const auto& alternative : condition.alternatives) {
    std::string all;
    for (const RuleCondition& part : alternative) all += (all.empty() ? "" : "&") + Lines(part);
    add("(" + all + ")");
  }
  return text + list;
}

inline std::string Line(const Rule& rule, const std::optional<RuleCounter>& counter) {
  std::string text = rule.chain + "/" + std::to_string(rule.position) + " " + NameOf(rule.verdict);
  if (!rule.jump_target.empty()) text += ">" + rule.jump_target;
  text += counter            ? " [" + std::to_string(counter->packets) + ":" + std::to_string(counter->bytes) + "]"
          : rule.has_counter ? " [object]"
                             : " []";
  for (const RuleCondition& condition : rule.conditions) text += " " + Lines(condition);
  for (const RuleLimit& limit : rule.limits) {
    text += " limit(" + std::to_string(static_cast<int>(limit.kind)) + (limit.matches_above ? " above " : " within ");
    text += limit.connections != 0 ? std::to_string(limit.connections)
                                   : std::to_string(limit.rate_per_second).substr(0, 6) + "/s";
    text += " per " + std::to_string(static_cast<int>(limit.per)) + "/" + std::to_string(limit.ipv4_prefix) + "/" +
            std::to_string(limit.ipv6_prefix) + ")";
  }
  for (const MappedVerdict& mapped : rule.map) {
    text += std::string(" ") + NameOf(mapped.verdict) + ":";
    if (mapped.addresses) text += mapped.addresses->first.ToString() + "-" + mapped.addresses->last.ToString();
    if (mapped.numbers) text += std::to_string(mapped.numbers->first);
  }
  for (const SetUpdate& update : rule.set_updates)
    text += " fills(" + update.set + (update.by_source ? " source)" : ")");
  if (!rule.log_prefix.empty()) text += " prefix(" + rule.log_prefix + ")";
  if (rule.nflog_group) text += " group(" + std::to_string(*rule.nflog_group) + ")";
  if (!rule.comment.empty()) text += " comment(" + rule.comment + ")";
  return text + (rule.fully_understood ? "" : rule.map_understood ? " map" : " ... " + rule.not_understood);
}

inline NftSetContents SetsOf(const std::vector<Buffer>& messages) {
  NftSetContents sets;
  std::map<std::string, bool> intervals;
  for (const Buffer& message : messages) {
    if (const auto set = DecodeNftSet(message)) {
      NftSetContent& content = sets[{set->family, std::string(set->table), std::string(set->name)}];
      content.anonymous = (set->flags & 1) != 0;
      content.maps = set->verdicts;
      content.key_bytes = set->key_bytes;
      intervals[std::string(set->name)] = (set->flags & 4) != 0;
    }
    if (const auto elements = DecodeNftElements(message); elements && !elements->empty()) {  // a dump's last is empty
      std::string table, name;
      AttributeWalk walk(Bytes(message).subspan(20));
      for (Attribute attribute; walk.Next(attribute);) {
        if (attribute.type == 1) table = AttributeText(attribute.payload);
        if (attribute.type == 2) name = AttributeText(attribute.payload);
      }
      const auto family = RuleFamilyOf(std::to_integer<std::uint8_t>(message[16])).value_or(RuleFamily::kInet);
      sets[{family, table, name}].elements = RangesOf(*elements, intervals[name]);
    }
  }
  return sets;
}

inline std::vector<std::string> LinesOfNft(const Recording& recording) {
  const std::vector<Buffer> messages = Messages(recording);
  const NftSetContents sets = SetsOf(messages);
  Ruleset ruleset;
  std::vector<std::optional<RuleCounter>> counters;
  for (const Buffer& message : messages) {
    if (const auto table = DecodeNftTable(message))
      ruleset.tables.push_back({table->family, std::string(table->name), 0, 0});
    if (const auto chain = DecodeNftChain(message)) {
      RuleChain& added = ruleset.chains.emplace_back();
      added.family = chain->family, added.table = chain->table, added.name = chain->name, added.base = chain->base;
    }
    if (const auto rule = DecodeNftRule(message)) {
      ruleset.rules.push_back(DecodeRule(*rule, sets));
      counters.push_back(CountOf(*rule).counter);
    }
  }
  FinishRuleset(ruleset);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) lines.push_back(Line(ruleset.rules[i], counters[i]));
  return lines;
}

inline std::optional<LegacyTable> DecodeRecorded(const Recording& recording, RuleFamily family) {
  LegacyInfo info{};
  std::memcpy(&info, recording.datagrams.at(0).data(), sizeof info);
  return DecodeLegacyTable("filter", family, info, recording.datagrams.at(1));
}

inline std::vector<std::string> LinesOfLegacy(const Recording& recording, RuleFamily family) {
  auto table = DecodeRecorded(recording, family);
  std::vector<std::string> lines;
  if (!table) return lines;
  Ruleset ruleset;
  ruleset.tables.push_back({family, "filter", 0, 0});
  ruleset.chains = std::move(table->chains);
  ruleset.rules = std::move(table->rules);
  FinishRuleset(ruleset);
  const Bytes entries = recording.datagrams.at(1);
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    if (!table->policy_offsets[i]) continue;
    const RuleCounter counter = LoadLegacyCounter(entries, *table->policy_offsets[i]);
    lines.push_back("policy " + ruleset.chains[i].name + " " + NameOf(ruleset.chains[i].policy) + " " +
                    std::to_string(counter.packets));
  }
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    lines.push_back(Line(ruleset.rules[i], LoadLegacyCounter(entries, table->counter_offsets[i])));
  }
  return lines;
}

}  // namespace conntally::test
